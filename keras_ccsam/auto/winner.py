"""The winner's run: the only one that sees the test images."""

import time
from typing import Any

from keras_ccsam.auto.choice import Choice
from keras_ccsam.auto.lost import refuse_lost
from keras_ccsam.auto.plan import Asked
from keras_ccsam.auto.record import Record
from keras_ccsam.auto.shortened import shortened, whole
from keras_ccsam.auto.tournament import Round
from keras_ccsam.comparison.launched import launched
from keras_ccsam.comparison.plan import ComparisonPlan, PlannedRun, run_path
from keras_ccsam.launching import Launcher
from keras_ccsam.runs import experiment
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.set_aside import set_aside


def train_winner(
    asked: Asked,
    choice: Choice,
    share: float,
    last: Round | None,
    record: Record,
    shown: Progress,
    launcher: Launcher | None = None,
) -> RunDirectory:
    """Train the winner, if that is not done, and return its run.

    With `refit` it is trained anew on training and validation images. Without, its run of the last
    rung is taken over: the first stage as it is, the second, which is short, once more.

    Args:
        asked: for.
        choice: who won.
        share: of the epochs.
        last: rung that was played; None where one recipe stands alone.
        record: of the tournament.
        shown: how.
        launcher: executes the run; None for this process.

    Raises:
        RunLost: the launcher has lost it.
        FloatingPointError: it diverged.
    """
    lender = None
    if asked.refit or last is None:
        recipe = shortened(choice.entrant.recipe, share)
    else:
        recipe = shortened(choice.entrant.recipe, last.rung.share)
        lender = run_path(last.folder, recipe, recipe.seed)
    if asked.refit:
        recipe = whole(recipe)
    run = RunDirectory(record.winner)
    if run.status() != "complete" or run.damage():
        if run.damage():
            set_aside(run.path, "damaged")
        began = time.perf_counter()
        if launcher is not None:
            planned = PlannedRun(recipe, run.path, False, lender)
            alone = ComparisonPlan((recipe,), (recipe.seed,), record.path, (planned,))
            options: dict[str, Any] = {"record": (), "trackers": (), "feature_cache": "auto"}
            options["tested"] = asked.tested
            refuse_lost(launched(alone, launcher, shown, lambda missing: None, **options), 1)
        else:
            experiment.run_or_resume(
                recipe,
                run.path,
                progress=shown,
                stage1_from=lender,
                compile_cache="off",  # the tournament's is on
                tested=asked.tested,
            )
        record.spend(time.perf_counter() - began)
    return run
