"""Several recipes over several seeds, each distinct first stage trained once."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from keras_ccsam.comparison.check_models import check_models
from keras_ccsam.comparison.comparison import Comparison, MissingRun
from keras_ccsam.comparison.launched import launched
from keras_ccsam.comparison.plan import ComparisonPlan, PlannedRun, plan_comparison
from keras_ccsam.comparison.time_left import TimeLeft
from keras_ccsam.comparison.waiting import to_train
from keras_ccsam.comparison.written import draw, written
from keras_ccsam.duration import duration
from keras_ccsam.launching import Launcher
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import experiment
from keras_ccsam.runs.asked import check_validate_every
from keras_ccsam.runs.claim import claim, release, released_if_it_fails
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.folders import PathLike, make, require_writable
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.trackers import check


class NothingTrained(RuntimeError):
    """No run of a comparison has results."""

    exit_code = 1


def compare(
    recipes: Sequence[Recipe],
    seeds: Sequence[int] | int = 1,
    out: PathLike | None = None,
    *,
    progress: str = "auto",
    compile_cache: PathLike = "auto",
    record: Record = (),
    trackers: Sequence[str] = (),
    feature_cache: PathLike = "auto",
    launcher: Launcher | None = None,
    validate_every: int = 1,
) -> Comparison:
    """Train every recipe with every seed and put the results into one table.

    Recipes whose first stages are the same (`Recipe.stage1_digest`) share it: cRT continues the
    cross-entropy run of the same seed. The numbers are those of separate runs. In a folder that a
    comparison was interrupted in, finished runs are kept, one that was interrupted goes on where
    it was, and the others are trained; any finished run in it lends its first stage.

    A run that diverges (`callbacks.OnNonfinite`) is warned of, and the others are trained: its row
    has no mean, and `Comparison.missing` has the reason. Nothing else is passed over: what fails
    one run, as a full disk does, would fail the next.

    Args:
        recipes: on the same data, with different names.
        seeds: of weights, batches and augmentation; a number n stands for 0 ... n - 1.
        out: an absent or empty folder, or one of an earlier comparison;
            `runs/compare-<data>-<time>` by default. Gets one folder per run, `comparison.json`,
            `comparison.md` and `comparison.png`.
        progress: as in `experiment.run`.
        compile_cache: as in `experiment.run`; `"auto"` is beside `out`, so that comparisons in one
            folder share it.
        record: what each run records, as in `experiment.run`; finished runs stay as they are.
        trackers: as in `experiment.run`, for every run that is trained.
        feature_cache: as in `experiment.run`; `"auto"` is beside `out`.
        launcher: executes the runs side by side (`launching.Local`, `Ray`, `Slurm`), each with the
            same result, and adds what each prints to a file in `logs`. The table is written anew
            whenever a run ends. A run that fails, for whatever reason, ends no other one. By
            default runs are trained one after another in this process.
        validate_every: as in `experiment.run`.

    Raises:
        ValueError: recipes that do not go together, data that cannot be had, a model that cannot
            be built, a tracker that is not installed, or a folder with anything else or with runs
            of other recipes in it. Nothing has been written then.
        FloatingPointError: every run diverged.
        NothingTrained: every run failed in the hands of the launcher.
    """
    shown = Progress(progress)
    record = check_record(record)
    check(trackers)
    check_validate_every(validate_every)
    chosen = plan_comparison(recipes, seeds, out)
    check_models(recipes, record)
    clock = TimeLeft(chosen.runs)
    return train(
        chosen,
        shown,
        clock,
        compile_cache,
        record,
        trackers,
        feature_cache=feature_cache,
        launcher=launcher,
        validate_every=validate_every,
    )


def train(
    chosen: ComparisonPlan,
    shown: Progress,
    clock: TimeLeft,
    compile_cache: PathLike,
    record: Record = (),
    trackers: Sequence[str] = (),
    *,
    feature_cache: PathLike = "auto",
    launcher: Launcher | None = None,
    validate_every: int = 1,
) -> Comparison:
    """Train what is missing of a comparison that was planned; see `compare`.

    Args:
        chosen: from `plan_comparison`.
        shown: how.
        clock: of all runs, which may be more than this comparison's.
        compile_cache, record, trackers: as in `compare`.
        feature_cache, launcher, validate_every: as in `compare`.
    """
    missing = train_waiting(
        chosen,
        shown,
        clock,
        compile_cache,
        record,
        trackers,
        feature_cache=feature_cache,
        launcher=launcher,
        validate_every=validate_every,
        after_run=lambda missing: written(chosen, missing),
    )
    comparison = written(chosen, missing)
    if comparison is None:
        release(chosen.path, "comparison", "incomplete")
        lost = missing[0]
        raise NothingTrained(f"every run failed; {lost.recipe}, seed {lost.seed}: {lost.reason}")
    if any(None not in row.results for row in comparison.rows):
        draw(comparison)
    release(chosen.path, "comparison", "incomplete" if missing else "complete")
    return comparison


def train_waiting(
    chosen: ComparisonPlan,
    shown: Progress,
    clock: TimeLeft,
    compile_cache: PathLike,
    record: Record = (),
    trackers: Sequence[str] = (),
    *,
    tested: bool = True,
    feature_cache: PathLike = "auto",
    launcher: Launcher | None = None,
    validate_every: int = 1,
    after_run: Callable[[Sequence[MissingRun]], object] = lambda missing: None,
) -> tuple[MissingRun, ...]:
    """Train the runs of a comparison that are missing, and put no table together.

    Args:
        chosen, shown, clock, compile_cache, record, trackers: as in `train`.
        tested: as in `experiment.run`: whether the test images are looked at.
        feature_cache, launcher, validate_every: as in `compare`.
        after_run: called when a run of the launcher's has ended, with what has failed by then.

    Returns:
        The runs that diverged, or failed in the hands of the launcher; the others are complete.

    Raises:
        FloatingPointError: every run of the comparison diverged.
    """
    folder = chosen.path
    failed: dict[Path, FloatingPointError] = {}
    require_writable(folder, "name another folder (--out)")
    make(folder)
    claim(folder, "comparison")
    with (
        released_if_it_fails(folder, "comparison"),
        kept_programs(compile_cache, folder, announce=shown.shown),
    ):
        if launcher is not None:
            return launched(
                chosen,
                launcher,
                shown,
                after_run,
                record=record,
                trackers=trackers,
                tested=tested,
                feature_cache=feature_cache,
                validate_every=validate_every,
            )
        for run in chosen.waiting:
            if not to_train(run):
                continue
            shown.say(_announced(run, clock))
            clock.start(run)
            try:
                experiment.run_or_resume(
                    run.recipe,
                    run.path,
                    progress=shown.timed(clock.after_epoch),
                    stage1_from=_lender(run, failed),
                    compile_cache="off",  # the comparison's is on
                    record=record,
                    trackers=trackers,
                    tested=tested,
                    feature_cache=feature_cache,
                    validate_every=validate_every,
                )
            except FloatingPointError as error:
                failed[run.path] = error
                if len(failed) == len(chosen.runs):
                    raise
                warnings.warn(f"{run.path.name} diverged: {error}", stacklevel=2)
            clock.finish(run.path not in failed)
    return tuple(
        MissingRun(run.recipe.name, run.recipe.seed, " ".join(str(failed[run.path]).split()))
        for run in chosen.runs
        if run.path in failed
    )


def _lender(run: PlannedRun, failed: Mapping[Path, FloatingPointError]) -> Path | None:
    """The run that lends its first stage, of those that came to their end.

    Raises:
        FloatingPointError: it diverged in its first stage, and so would this one.
    """
    if run.lender is None or run.lender not in failed:
        return run.lender
    if RunDirectory(run.lender).stage1_file.is_file():
        return None  # that was in its second stage
    words = f"its first stage is that of {run.lender.name}: {failed[run.lender]}"
    raise FloatingPointError(words)


def _announced(run: PlannedRun, clock: TimeLeft) -> str:
    """`run 2/6: crt, seed 0 (first stage of ce-seed0); 3 min left in all`."""
    origin = f" ({run.origin})" if run.origin else ""
    left = clock.seconds()
    rest = "" if left is None else f"; {duration(left)} left in all"
    return f"run {clock.number(run)}: {run.recipe.name}, seed {run.recipe.seed}{origin}{rest}"
