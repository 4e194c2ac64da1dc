"""The runs of a comparison, handed to a launcher."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress

from keras_ccsam import backend
from keras_ccsam.comparison.comparison import MissingRun
from keras_ccsam.comparison.plan import ComparisonPlan, PlannedRun
from keras_ccsam.comparison.under_way import UnderWay
from keras_ccsam.comparison.waiting import to_train
from keras_ccsam.launching import Job, Launcher, Outcome
from keras_ccsam.launching.carrying_out import carry_out
from keras_ccsam.launching.job import job_of
from keras_ccsam.runs.folders import PathLike
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.run_directory import RunDirectory

LOGS = "logs"
"""Folder of a comparison: what each run prints, and what a launcher keeps."""


def launched(
    chosen: ComparisonPlan,
    launcher: Launcher,
    shown: Progress,
    after_run: Callable[[Sequence[MissingRun]], object],
    *,
    record: Record,
    trackers: Sequence[str],
    tested: bool,
    feature_cache: PathLike,
    validate_every: int = 1,
) -> tuple[MissingRun, ...]:
    """Have a launcher train the runs of a comparison that are missing.

    Args:
        chosen: the comparison; this process holds its folder.
        launcher: executes the runs.
        shown: how.
        after_run: called when a run has ended, with what has failed by then.
        record, trackers, tested, feature_cache, validate_every: as in `experiment.run`.

    Returns:
        The runs that failed.
    """
    options = {
        "record": check_record(record),
        "trackers": list(trackers),
        "tested": tested,
        "feature_cache": os.fspath(feature_cache),
        "validate_every": validate_every,
        # The one that this process was given, or has made; it has looked whether it is safe.
        "compile_cache": backend.program_folder() or "off",
    }

    def described(run: PlannedRun) -> Job:
        log = chosen.path / LOGS / f"{run.path.name}.log"
        return job_of(run.recipe, run.path, log, run.lender, **options)

    runs = [run for run in chosen.waiting if to_train(run)]
    under_way = UnderWay(runs, shown)
    recipes = {run.path.name: run.recipe for run in chosen.waiting}
    missing: list[MissingRun] = []

    def ended(job: Job, outcome: Outcome) -> str:
        if outcome.status != "complete":
            under_way.lose(job.name)
            recipe = recipes[job.name]
            how = "diverged" if outcome.diverged else "failed"
            missing.append(MissingRun(recipe.name, recipe.seed, outcome.reason, how))
        with suppress(OSError):  # a full disk is for the last table to tell: others still run
            after_run(missing)
        return _scored(RunDirectory(job.path)) if outcome.status == "complete" else ""

    jobs = list(map(described, runs))
    carry_out(jobs, launcher, chosen.path / LOGS, shown.say, ended, under_way)
    return tuple(missing)


def _scored(directory: RunDirectory) -> str:
    """`overall 81.20, few 60.10`, of the test images where they were looked at."""
    found = directory.results().get("test")
    if found is None:
        return ""
    parts = {"overall": found["overall"], **found["groups"]}
    return ", ".join(f"{name} {100 * value:.2f}" for name, value in parts.items())
