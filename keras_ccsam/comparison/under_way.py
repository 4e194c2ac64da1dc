"""How far runs are that other processes train, and how long they still take in all."""

import statistics
import time
from collections.abc import Sequence

from keras_ccsam.comparison.plan import PlannedRun
from keras_ccsam.duration import duration
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory

# Seconds between two lines: at first, and as a share of the time so far. A terminal's line is drawn
# over.
_FIRST, _SHARE, _REDRAWN = 20.0, 0.02, 2.0

_Key = tuple[str, int]


class UnderWay:
    """Tells of the epochs that are done, from the logs that the runs write.

    The time left is the epochs that are missing, each at the mean of its recipe's stage so far (of
    that stage, where the recipe has none yet; else of all), over the seconds of epochs that have
    been trained in a second since the beginning. So what runs at the same time, and what they take
    beside their epochs, is in it.

    Args:
        runs: those that are to be trained.
        shown: how.
    """

    def __init__(self, runs: Sequence[PlannedRun], shown: Progress) -> None:
        self._runs = list(runs)
        self._shown = shown
        self._began = self._told = time.monotonic()
        self._lost: set[str] = set()
        self._before = self._trained()
        self._line = ""

    def lose(self, name: str) -> None:
        """Leave out a run that comes to no end."""
        self._lost.add(name)

    def __call__(self) -> None:
        """Say how far they are, where it is time to."""
        now = time.monotonic()
        drawn = self._shown.kind == "bar"
        wait = _REDRAWN if drawn else max(_FIRST, _SHARE * (now - self._began))
        if not self._shown.shown or now - self._told < wait:
            return
        self._told, line = now, self.line(now - self._began)
        if drawn:
            self._shown.draw(line)
        elif line != self._line:
            self._shown.say(line)
        self._line = line

    def line(self, elapsed: float) -> str:
        """`epochs 120/360, 12 min left in all`; without a time until an epoch is done.

        Args:
            elapsed: seconds since the beginning.
        """
        found = self._trained()
        done = sum(map(len, found.values()))
        spent = sum(map(sum, found.values())) - sum(map(sum, self._before.values()))
        line = f"epochs {done}/{done + sum(missing for _, missing in self._missing(found))}"
        if spent <= 0 or elapsed <= 0:
            return line
        paces = self._paces(found)
        left = sum(missing * _usual(*stage, paces) for stage, missing in self._missing(found))
        return f"{line}, {duration(left * elapsed / spent)} left in all"

    def _missing(self, found: dict[_Key, list[float]]) -> list[tuple[_Key, int]]:
        """Of each run's stages, by the recipe's name, the epochs that are still to be trained.

        Of a lost run none is.
        """
        return [
            (
                (run.recipe.name, stage),
                max(0, run.epochs[stage - 1] - len(found[run.path.name, stage])),
            )
            for run in self._runs
            for stage in (1, 2)
            if run.path.name not in self._lost
        ]

    def _trained(self) -> dict[_Key, list[float]]:
        """The seconds of the epochs that each run has trained of each stage."""
        found: dict[_Key, list[float]] = {}
        for run in self._runs:
            records = RunDirectory(run.path).metrics() if run.path.is_dir() else []
            for stage in (1, 2):
                own = [float(r["seconds"]) for r in records if r["stage"] == stage]
                found[run.path.name, stage] = own if run.epochs[stage - 1] else []
        return found

    def _paces(self, found: dict[_Key, list[float]]) -> dict[_Key, list[float]]:
        paces: dict[_Key, list[float]] = {}
        for run in self._runs:
            for stage in (1, 2):
                paces.setdefault((run.recipe.name, stage), []).extend(found[run.path.name, stage])
        return paces


def _usual(name: str, stage: int, paces: dict[_Key, list[float]]) -> float:
    """The seconds of an epoch."""
    of_stage = [second for (_, one), own in paces.items() for second in own if one == stage]
    of_all = [second for own in paces.values() for second in own]
    return statistics.fmean(paces[name, stage] or of_stage or of_all or [0.0])
