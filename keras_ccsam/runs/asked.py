"""What a run was asked for beside its recipe, kept with it, and whether it can be gone on with."""

import dataclasses
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import atomic, writer
from keras_ccsam.checks import require
from keras_ccsam.data.batches.batch_options import DataOn, check_data_on
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import environment, lock
from keras_ccsam.runs.folders import make, require_idle
from keras_ccsam.runs.run_directory import RunDirectory

# Whose versions can change a number.
_COUNTED = ("keras-ccsam", "keras", "numpy", "jax", "jaxlib", "tensorflow", "torch")


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a run was asked for beside its recipe.

    Attributes:
        record: what is recorded, with options; of `record_options.check_record`.
        trackers: that are told.
        tested: whether the test images are looked at.
        source: the run whose first stage is taken over; None where it is trained.
        data_on: where the training images lie: `"host"`, `"device"`, or `"auto"` until it is known.
        validate_every: epochs of stage 1 from one validation to the next; 0 for none.
    """

    record: Mapping[str, Mapping[str, Any]]
    trackers: tuple[str, ...]
    tested: bool
    source: RunDirectory | None
    data_on: DataOn
    validate_every: int = 1

    def to_dict(self, run: Path) -> dict[str, Any]:
        """Return it as JSON types, for environment.json; the other run as it lies to `run`."""
        return {
            "record": {name: dict(options) for name, options in self.record.items()},
            "trackers": list(self.trackers),
            "tested": self.tested,
            "stage1_from": self.source and os.path.relpath(self.source.path, run),
            "data_on": self.data_on,
            "validate_every": self.validate_every,
        }

    @classmethod
    def of(cls, directory: RunDirectory, origin: Path | None = None) -> "Asked":
        """Return what a run was asked for.

        Args:
            directory: of the run.
            origin: where it lies, if that is a copy of it.

        Raises:
            ValueError: it does not say.
        """
        try:
            told = directory.environment()["asked"]
            source = told["stage1_from"]
            return cls(
                dict(told["record"]),
                tuple(told["trackers"]),
                bool(told["tested"]),
                None if source is None else RunDirectory((origin or directory.path) / source),
                check_data_on(told.get("data_on", "host")),  # what earlier versions did
                check_validate_every(told.get("validate_every", 1)),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise _refused("does not say what it was asked for", directory) from error


def check_validate_every(every: int) -> int:
    """Return how many epochs of stage 1 lie from one validation to the next.

    Raises:
        ValueError: it is no whole number from 0 on.
    """
    usable = isinstance(every, int) and not isinstance(every, bool) and every >= 0
    require(usable, "validate_every", every, "a whole number of epochs, or 0 for no validation")
    return every


def check_resumable(directory: RunDirectory) -> None:
    """Refuse a run that cannot be gone on with.

    Raises:
        ValueError: it is complete, it is no run, a process trains it, it was begun by a version
            that kept nothing to go on from, or on another backend.
    """
    directory.check_run()
    # One that was killed after its results still lacks its pictures, and has states to remove.
    if directory.status() == "complete" and directory.state.was_ended:
        raise ValueError(
            "the run is complete; there is nothing to go on with. "
            f"Received: run={str(directory.path)!r}"
        )
    require_idle(directory.path)
    Asked.of(directory)
    backend = directory.environment().get("backend")
    if backend != keras.backend.backend():
        raise ValueError(
            f"the run was begun with {backend}, and goes on with it: set KERAS_BACKEND={backend}. "
            f"Received: backend={keras.backend.backend()!r}"
        )


def reopen(directory: RunDirectory) -> None:
    """Mark a run that was interrupted as running again.

    Raises:
        ValueError: another process trains it.
    """
    with lock.taken(directory.path):
        make(directory.checkpoints)
        make(directory.plots)
        for folder in (directory.path, directory.checkpoints, directory.analysis, directory.plots):
            atomic.sweep(folder, older=0.0)  # the lock is held: nobody writes there
        directory.manifest.reopen(*directory.logs)
        directory.state.mark("running", process=writer.this_process())


def can_go_on(directory: RunDirectory, recipe: Recipe) -> bool:
    """Whether a run of a recipe was begun in a folder, and can be gone on with."""
    try:
        check_resumable(directory)
        return directory.recipe().digest() == recipe.digest()
    except (ValueError, OSError):
        return False


def warn_of_changes(directory: RunDirectory) -> None:
    """Warn where a run goes on with other versions or on another device than it was begun with."""
    before, now = directory.environment(), environment.describe()
    packages = before.get("packages", {})
    changed = [
        f"{name} {packages.get(name)} to {now['packages'].get(name)}"
        for name in _COUNTED
        if packages.get(name) != now["packages"].get(name)
    ]
    if before.get("device") != now["device"]:
        changed.append(f"the device {before.get('device')} to {now['device']}")
    if changed:
        warnings.warn(
            "since the run was begun, this has changed, and its numbers may differ from those of "
            f"a run without interruption: {', '.join(changed)}",
            stacklevel=3,
        )


def _refused(reason: str, directory: RunDirectory) -> ValueError:
    return ValueError(
        f"the run {reason}, so it cannot be gone on with; train it again into another folder. "
        f"Received: run={str(directory.path)!r}"
    )
