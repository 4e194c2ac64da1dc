"""From a recipe to a run directory: begun, gone on with, evaluated."""

from collections.abc import Sequence
from typing import Any

from keras_ccsam import processes
from keras_ccsam.data.batches.batch_options import DataOn, check_data_on
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.metrics import Report
from keras_ccsam.recipes import Recipe
from keras_ccsam.resuming.interval import Interval
from keras_ccsam.runs.asked import (
    Asked,
    can_go_on,
    check_resumable,
    check_validate_every,
    warn_of_changes,
)
from keras_ccsam.runs.first_stage import same_stage1
from keras_ccsam.runs.folders import PathLike, fresh, named, require_open
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.run_result import RunResult
from keras_ccsam.runs.set_aside import set_aside
from keras_ccsam.runs.stage_states import SAVE_EVERY
from keras_ccsam.runs.trained_run import open_run
from keras_ccsam.runs.work import carried_out
from keras_ccsam.runs.workplace import origin, workplace
from keras_ccsam.trackers import check as check_trackers


def run(
    recipe: Recipe,
    out: PathLike | None = None,
    *,
    progress: str | Progress = "auto",
    stage1_from: PathLike | None = None,
    compile_cache: PathLike = "auto",
    record: Record = (),
    trackers: Sequence[str] = (),
    tested: bool = True,
    feature_cache: PathLike = "auto",
    save_every: str | int = SAVE_EVERY,
    data_on: DataOn = "auto",
    validate_every: int = 1,
) -> RunResult:
    """Train a recipe, evaluate its last epoch and write a run directory.

    A run that is ended before it is done can be gone on with: `resume`.

    Args:
        recipe: from `recipes.load`.
        out: an absent or empty folder; `runs/<recipe>-<data>-<time>` by default.
        progress: `"bar"`, `"line"` (one per epoch), `"none"`, or `"auto"`: a bar on a terminal.
        stage1_from: a run whose first stage is the same (`Recipe.stage1_digest`): its weights are
            taken in place of training anew, with the same result.
        compile_cache: a folder in which JAX keeps compiled programs for the next run; `"off"`
            leaves JAX as it is; `"auto"` is the folder that JAX has been given already, else
            `.jax-cache` beside the run directory.
        record: what is recorded after each epoch of stage 1, in the run's folder `analysis`: names
            of `recorders.RECORDERS`, or their options, as in `{"bound": {"delta": 0.01}}`. It
            changes no number of the run.
        trackers: `"tensorboard"`, `"wandb"`, `"mlflow"`, `"trackio"`: told of each epoch and of the
            results. They change no number, and one that fails costs the run nothing.
        tested: False leaves the test images unseen: results.json has no `test`, and `stage1` is of
            the validation split, which the recipe must cut. For whoever still chooses among runs.
        feature_cache: a folder in which features of a frozen backbone are kept for other runs;
            `"off"` keeps none; `"auto"` is `.feature-cache` beside the run directory or beside
            the comparison that it is of. They are computed once where no image is augmented.
        save_every: how often the state of the training is saved, as in `callbacks.RunState`. It
            changes no number, and is removed when the run is complete.
        data_on: where the training images lie: `"host"`, `"device"`, or `"auto"`, as in
            `LongTailedData.batches`. A run that is gone on with keeps to what it was begun with.
        validate_every: after how many epochs of stage 1 each the validation split is evaluated, if
            the recipe cuts one; 0 leaves it to the end of the run. It changes no number but the
            `val_` columns of the epochs. A callback that watches one of these needs 1.

    Raises:
        ValueError: `out` is not free, the data cannot be had or a file of it is broken,
            `stage1_from` differs, `record` names something unknown or has an option that does not
            fit, a tracker is not installed, or nothing is left to judge the run by. Nothing has
            been written then.
        FloatingPointError: the training left the finite numbers; see `callbacks.OnNonfinite` and
            the recipe's `on_nonfinite`.
    """
    Interval(save_every, "save_every")
    on, every = check_data_on(data_on), check_validate_every(validate_every)
    if out is None:  # by the clock of one process
        out = processes.told(str(fresh(f"{recipe.name}-{recipe.setting}")))
    with workplace(RunDirectory(named(out))) as directory:
        with processes.agreed():
            directory.check_free()
            source = None if stage1_from is None else same_stage1(RunDirectory(stage1_from), recipe)
            told = check_record(record), check_trackers(trackers)
            asked = Asked(*told, tested, source, on, every)
        choices = (_shown(progress), compile_cache, feature_cache, save_every)
        return carried_out(recipe, directory, asked, *choices, run_or_resume)


def resume(
    run_dir: PathLike,
    *,
    progress: str | Progress = "auto",
    compile_cache: PathLike = "auto",
    feature_cache: PathLike = "auto",
    save_every: str | int = SAVE_EVERY,
    trust_code: bool = False,
) -> RunResult:
    """Go on with a run that was ended before it was done; what it was asked for, it remembers.

    On the same machine, with the same versions, its weights and results are to the last bit those
    that it would have had. Stages that are finished are taken as they are.

    Args:
        run_dir: a run directory.
        progress, compile_cache, feature_cache, save_every: as in `run`.
        trust_code: as in `evaluate_run`.

    Raises:
        ValueError: it is no run, it is complete, another process trains it, nothing may be written
            into it, it was begun on another backend, or its data has changed since. Nothing has
            been written then.
    """
    Interval(save_every, "save_every")
    with workplace(RunDirectory(run_dir)) as directory:
        with processes.agreed():
            check_resumable(directory)
            require_open(directory.path)
            recipe = directory.recipe(trust_code=trust_code)
            asked = Asked.of(directory, origin(directory.path))
            if processes.writes():
                warn_of_changes(directory)
        choices = (_shown(progress), compile_cache, feature_cache, save_every)
        return carried_out(recipe, directory, asked, *choices, run_or_resume, begun=True)


def _shown(progress: str | Progress) -> Progress:
    """How the run is shown; of several processes, one shows it."""
    return Progress.of(progress if processes.writes() else "none")


def run_or_resume(recipe: Recipe, out: PathLike, **options: Any) -> RunResult:
    """Go on with a run of a recipe that was begun in a folder, or begin it there.

    What is there and cannot be gone on with is set aside.

    Args:
        recipe: from `recipes.load`.
        out: the folder.
        **options: of `run`; those that a run remembers are left out where it goes on.
    """
    directory = RunDirectory(out)
    if can_go_on(directory, recipe):
        remembered = ("stage1_from", "record", "trackers", "tested", "data_on", "validate_every")
        again = {key: value for key, value in options.items() if key not in remembered}
        return resume(directory.path, **again)
    set_aside(directory.path)
    return run(recipe, directory.path, **options)


def evaluate_run(run_dir: PathLike, split: Split = "test", *, trust_code: bool = False) -> Report:
    """Evaluate a finished run's `model.keras` on its own data.

    Args:
        run_dir: a run directory.
        split: `"test"`, `"validation"` if the recipe cuts one, or `"train"`.
        trust_code: import what the run's recipe names from outside the package, and so run it.
            Only a dataset or a layer from outside needs it, no method and no loss.

    Raises:
        ValueError: the folder is no finished run, the data is no longer what it was trained on, or
            code from outside is needed and not trusted.
    """
    found = open_run(run_dir, trust_code=trust_code)
    return found.evaluate(found.model(), split)
