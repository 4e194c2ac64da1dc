"""Whether a planned run still has to be trained."""

import warnings

from keras_ccsam.comparison.plan import PlannedRun
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.set_aside import set_aside


def to_train(run: PlannedRun) -> bool:
    """Whether a run has to be trained; one whose files are damaged makes room first."""
    if run.damage:
        _set_aside(run)
        return True
    # Another process, which held the folder when the comparison was planned, may have done it.
    directory = RunDirectory(run.path)
    return directory.status() != "complete" or bool(directory.damage())


def _set_aside(run: PlannedRun) -> None:
    """Make room for a run whose files are damaged, and say where they have gone."""
    aside = set_aside(run.path, "damaged")
    warnings.warn(
        f"{run.path}: {run.damage}; it was set aside as {aside and aside.name}, and is trained "
        "again",
        stacklevel=2,
    )
