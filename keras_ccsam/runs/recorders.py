"""What can be recorded while a run trains: `ccsam train --record bound,radius`.

A recorder is a callback of stage 1 that writes into the run's folder `analysis`. Recording is no
part of a recipe: it changes neither its digest nor any number of the run.
"""

import shutil
from collections.abc import Callable, Sequence
from typing import TypeAlias

import keras

from keras_ccsam import atomic
from keras_ccsam.analysis.class_sets import head_class, tail_class
from keras_ccsam.callbacks import BoundTracker, RadiusLog, WeightTrajectory
from keras_ccsam.data import LongTailedData
from keras_ccsam.hints import did_you_mean
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.run_directory import RunDirectory

Factory: TypeAlias = Callable[[Recipe, LongTailedData, RunDirectory], keras.callbacks.Callback]

# Of more classes, the head and the tail class alone: the file would grow with every epoch.
_MANY_CLASSES = 100


def _bound(
    recipe: Recipe, images: LongTailedData, directory: RunDirectory
) -> keras.callbacks.Callback:
    counts = images.class_counts
    few = len(counts) <= _MANY_CLASSES
    # The head class first: it is the one that is drawn.
    ends = (head_class(counts), tail_class(counts))
    classes = dict.fromkeys((*ends, *(range(len(counts)) if few else ())))
    return BoundTracker(
        counts,
        images.split_arrays("train"),
        None if images.x_test is None else images.split_arrays("test"),
        classes=list(classes),
        class_names=images.class_names,
        path=directory.analysis / "bound.json",
    )


def _radius(
    recipe: Recipe, images: LongTailedData, directory: RunDirectory
) -> keras.callbacks.Callback:
    return RadiusLog(
        images.class_counts,
        images.split_arrays("train"),
        class_names=images.class_names,
        path=directory.analysis / "radius.json",
    )


def _trajectory(
    recipe: Recipe, images: LongTailedData, directory: RunDirectory
) -> keras.callbacks.Callback:
    return WeightTrajectory(directory.trajectory_file)


RECORDERS: dict[str, Factory] = {"bound": _bound, "radius": _radius, "trajectory": _trajectory}
"""What can be recorded, by name; a recorder's files begin with its name."""


def check_record(record: Sequence[str]) -> tuple[str, ...]:
    """Return the names of what is to be recorded, each once.

    Raises:
        ValueError: one is unknown.
    """
    names = (record,) if isinstance(record, str) else tuple(record)
    for name in names:
        if name not in RECORDERS:
            raise ValueError(
                f"what can be recorded is {', '.join(RECORDERS)}{did_you_mean(name, RECORDERS)}. "
                f"Received: record={list(names)}"
            )
    return tuple(dict.fromkeys(names))


def recorders(
    record: Sequence[str], recipe: Recipe, images: LongTailedData, directory: RunDirectory
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that record, for stage 1 of a run."""
    if record:
        directory.analysis.mkdir(exist_ok=True)
    return [RECORDERS[name](recipe, images, directory) for name in record]


def copy_records(
    record: Sequence[str], source: RunDirectory, directory: RunDirectory
) -> tuple[str, ...]:
    """Take over what a run recorded whose first stage is taken over.

    Returns:
        what it did not record.
    """
    missing = []
    for name in record:
        files = sorted(source.analysis.glob(f"{name}.*"))
        if not files:
            missing.append(name)
            continue
        directory.analysis.mkdir(exist_ok=True)
        for file in files:
            with atomic.replacing(directory.analysis / file.name) as temporary:
                shutil.copyfile(file, temporary)
    return tuple(missing)
