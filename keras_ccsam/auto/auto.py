"""From a data set to a classifier: describe, compare, choose, train, test once, hand over."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ccsam.auto import described
from keras_ccsam.auto.choice import choose
from keras_ccsam.auto.extra import require_optuna
from keras_ccsam.auto.handing_over import handed_over
from keras_ccsam.auto.plan import VALIDATION_FRACTION, Asked, AutoPlan, ask
from keras_ccsam.auto.record import Record
from keras_ccsam.auto.tournament import Tournament
from keras_ccsam.auto.winner import train_winner
from keras_ccsam.auto.wording import time_used, verdict
from keras_ccsam.duration import duration
from keras_ccsam.launching import Launcher
from keras_ccsam.runs import parts
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.folders import PathLike, make
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import read_json
from keras_ccsam.stopping import Stopped


@dataclasses.dataclass(frozen=True)
class AutoResult:
    """What a tournament leaves behind.

    Attributes:
        path: its folder.
        content: of auto.json.
    """

    path: Path
    content: dict[str, Any]

    @property
    def chosen(self) -> str:
        """The recipe that won."""
        return str(self.content["chosen"])

    @property
    def model_file(self) -> Path:
        """The trained classifier, a plain Keras model whose outputs are logits."""
        return self.path / "model.keras"

    def text(self) -> str:
        """Say what was chosen, why and by how much, and where everything is."""
        files = "\n".join(
            f"{self.path / file}  {words}" for file, words in self.content["files"].items()
        )
        return f"{verdict(self.content)}\n\nIt took {time_used(self.content)}.\n\n{files}"

    def to_dict(self) -> dict[str, Any]:
        """Return the content of auto.json with the folder."""
        return self.content | {"path": str(self.path)}


def auto(
    data: str | None = None,
    *,
    recipes: Sequence[str] = (),
    budget: str | float = "30m",
    validation_fraction: float = VALIDATION_FRACTION,
    seeds: Sequence[int] | int = 1,
    refit: bool = True,
    out: PathLike | None = None,
    backbone: str | None = None,
    overrides: Sequence[str] = (),
    progress: str = "auto",
    compile_cache: PathLike = "auto",
    command: str = "",
    launcher: Launcher | None = None,
) -> AutoResult:
    """Choose a recipe for a data set by a tournament, train it, test it once and hand it over.

    Recipes are compared by successive halving: all are trained a little, the better half twice as
    long, until two are left. What is compared is the balanced accuracy on validation images that
    are cut from the training set. No test image is looked at before the choice is made. The same
    call goes on where it was interrupted, and ends with the same choice.

    Args:
        data: as in `recipes.load`; `"digits-lt"` by default.
        recipes: of `entrants.KINDS`, names of recipes or TOML files; by default all of `KINDS`.
        budget: `"90s"`, `"30m"`, `"2h"`, or seconds: what everything together may take, by steps
            that are measured first. Schedules are drawn together where it is short; it is not used
            up where the full schedules take less.
        validation_fraction: of each class, to choose by.
        seeds: as in `compare`. The last rung is trained with all of them, all else with the first.
        refit: train the winner anew on training and validation images. Without test images its run
            of the last rung is taken, whose accuracy is known.
        out: an absent or empty folder, or one of the same tournament; `runs/auto-<data>` by
            default. The docstring of `auto.record` lists what is in it.
        backbone: a network that was trained before, as `at_hand.network` has it: recipes that
            train a classifier alone on it take part, too. By default it is one of
            keras.applications whose weights are in Keras' cache, where `recipes` is empty and the
            images have three channels and at least 32 pixels a side; `"none"` takes none. Nothing
            is downloaded unless it says so.
        overrides: as in `recipes.load`, for every recipe; those of the network do not go to the
            recipes on `backbone`.
        progress: as in `experiment.run`.
        compile_cache: as in `experiment.run`.
        command: what the report says it was made by.
        launcher: executes the runs of a rung side by side, and the winner's. The plan is the same:
            it rests on steps that are timed in this process, as if one run followed another.

    Raises:
        ValueError: Optuna is not installed, an argument is wrong, data cannot be had or spares no
            validation image, a model cannot be built, the budget is too small for anything (it says
            what would do), the folder holds anything else, or another process works on it. Nothing
            is trained then.
        RunLost: a run in the hands of the launcher has failed. The same call goes on.
    """
    require_optuna()
    shown = Progress(progress)
    asked = ask(
        data,
        recipes=recipes,
        budget=budget,
        validation_fraction=validation_fraction,
        seeds=seeds,
        refit=refit,
        out=out,
        backbone=backbone,
        overrides=overrides,
    )
    record = Record(asked.path)
    if record.open(asked) is not None and record.result_file.is_file():
        return AutoResult(asked.path, read_json(record.result_file))
    for line in described.text(asked.facts):
        shown.say(line)
    with kept_programs(compile_cache, asked.path, announce=shown.shown):
        plan = _planned(asked, record, shown)
        try:
            content = _played(*plan, record, shown, command, launcher)
        except BaseException as error:
            record.end(
                "interrupted" if isinstance(error, KeyboardInterrupt | Stopped) else "failed"
            )
            raise
        record.end("complete")
    return AutoResult(asked.path, content)


def _planned(asked: Asked, record: Record, shown: Progress) -> tuple[AutoPlan, Any]:
    """Claim the folder, with the plan of an earlier start or one that is made now."""
    measured, seconds = None, 0.0
    if record.open(asked) is None:
        # Before anything is written: the budget may be too small, a model impossible.
        began = time.perf_counter()
        shown.say("timing a few steps of each recipe ...")
        measured = asked.ladder(parts.load_data(asked.entrants[0].recipe.data))
        seconds = time.perf_counter() - began
        make(record.path)
    record.claim()
    # Another process may have come and gone in the meantime: its plan holds then.
    earlier = record.open(asked)
    if earlier is None and measured is not None:
        ladder, terms = measured
        record.begin(asked, ladder, terms.paces)
        record.spend(seconds)
        return AutoPlan(asked, ladder), terms
    if earlier is None:
        raise ValueError(
            f"the plan of the tournament has vanished. Received: path={str(record.plan_file)!r}"
        )
    shown.say(f"going on in {record.path}, after {duration(record.spent)}")
    return AutoPlan(asked, earlier[0]), asked.terms(earlier[1])


def _played(
    plan: AutoPlan,
    terms: Any,
    record: Record,
    shown: Progress,
    command: str,
    launcher: Launcher | None,
) -> dict[str, Any]:
    """Play what is missing of a tournament; return the content of auto.json."""
    asked, ladder = plan.asked, plan.ladder
    labels = parts.load_data(asked.entrants[0].recipe.data).split_arrays("validation")[1]
    for line in [plan.time_text(), *plan.short_text()]:
        shown.say(line)
    rounds = Tournament(plan, terms, labels, record, shown, launcher).rounds()
    choice = choose(plan.staying, rounds, labels)
    shown.say(f"winner     {choice.entrant.name}")
    share = ladder.share if record.cut is None else record.cut[1]
    last = rounds[-1] if rounds else None
    run = train_winner(asked, choice, share, last, record, shown, launcher)
    return handed_over(plan, rounds, choice, run, record, shown, command)
