"""What a tournament's folder remembers, so that the same command goes on where it was.

state.json    "running", "interrupted" or "complete", and the seconds spent so far
plan.json     what was asked for, the measured steps and the rungs: written before the first run
              and never changed but by a cut, so that after a kill the rungs are the same
study.log     the Optuna study
rung-1/ ...   the runs of each rung; a run that is not finished is trained again
winner/       the run of the winner, the only one that sees test images
auto.json     what came of it, with summary.md, report.html and model.keras
"""

import dataclasses
from pathlib import Path
from typing import Any

from keras_ccsam.auto.ladder import Ladder
from keras_ccsam.auto.pace import Pace, Paces
from keras_ccsam.auto.plan import KIND, Asked
from keras_ccsam.runs.claim import claim, release
from keras_ccsam.runs.run_directory import read_json, write_json

FORMAT = 1


class Record:
    """Reads and writes the small files of a tournament.

    Args:
        path: the tournament's folder.

    Attributes:
        spent: seconds of measuring and of finished runs.
        cut: where time ran out: the rung after which the winner was chosen, from 0 on, and the
            share of the epochs that the winner gets; None where it did not.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.plan_file = path / "plan.json"
        self.study_file = path / "study.log"
        self.result_file = path / "auto.json"
        self.summary_file = path / "summary.md"
        self.report_file = path / "report.html"
        self.model_file = path / "model.keras"
        self.winner = path / "winner"
        self.spent = 0.0
        self.cut: tuple[int, float] | None = None
        self._plan: dict[str, Any] = {}

    def open(self, asked: Asked) -> tuple[Ladder, Paces] | None:
        """Read the plan of an earlier start; None where there is none.

        Raises:
            ValueError: it is the plan of another tournament, or damaged.
        """
        if not self.plan_file.is_file():
            return None
        self._plan = read_json(self.plan_file)
        try:
            earlier = self._plan["asked"]
            ladder = Ladder.from_dict(self._plan["ladder"])
            paces = {name: Pace(**pace) for name, pace in self._plan["paces"].items()}
            cut = self._plan["cut"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"the plan of the tournament is damaged; name another folder. "
                f"Received: path={str(self.plan_file)!r}"
            ) from error
        request = asked.request()
        if request != earlier:
            other = [key for key in request if request[key] != earlier.get(key)]
            raise ValueError(
                f"the folder holds a tournament that differs in {', '.join(other)}: give what it "
                f"was begun with, or name another folder. Received: out={str(self.path)!r}"
            )
        self.cut = None if cut is None else (int(cut["after"]), float(cut["share"]))
        state = self.path / "state.json"
        self.spent = float(read_json(state).get("spent", 0.0)) if state.is_file() else 0.0
        return ladder, paces

    def begin(self, asked: Asked, ladder: Ladder, paces: Paces) -> None:
        """Write the plan down, before anything is trained."""
        self._plan = {
            "kind": "auto plan",
            "format": FORMAT,
            "asked": asked.request(),
            "ladder": ladder.to_dict(),
            "paces": {name: dataclasses.asdict(pace) for name, pace in paces.items()},
            "cut": None,
        }
        write_json(self.plan_file, self._plan)

    def end_after(self, place: int, share: float) -> None:
        """Write down that the winner is chosen after a rung, for want of time."""
        self.cut = (place, share)
        self._plan["cut"] = {"after": place, "share": share}
        write_json(self.plan_file, self._plan)

    def spend(self, seconds: float) -> None:
        """Count seconds."""
        self.spent += seconds
        self.claim()

    def claim(self) -> None:
        """Write that this process works on the folder, and the seconds that were spent.

        Raises:
            ValueError: another process does.
        """
        claim(self.path, KIND, spent=round(self.spent, 3))

    def end(self, status: str) -> None:
        """Write how it ended."""
        release(self.path, KIND, status, spent=round(self.spent, 3))
