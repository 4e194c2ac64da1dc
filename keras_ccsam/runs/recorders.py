"""What can be recorded while a run trains: `ccsam train --record bound,radius`.

A recorder is a callback of stage 1 that writes into the run's folder `analysis`. Recording is no
part of a recipe: it changes neither its digest nor any number of the run.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import keras

from keras_ccsam import atomic
from keras_ccsam.analysis.class_sets import head_class, tail_class
from keras_ccsam.analysis.perturbed import chosen_positions
from keras_ccsam.callbacks import BoundTracker, RadiusLog, WeightTrajectory
from keras_ccsam.data import LongTailedData
from keras_ccsam.labels import class_number
from keras_ccsam.runs.run_directory import RunDirectory

Options: TypeAlias = Mapping[str, Any]
Factory: TypeAlias = Callable[[LongTailedData, RunDirectory, Options], keras.callbacks.Callback]

# Of more classes, the head and the tail class alone: the file would grow with every epoch.
_MANY_CLASSES = 100


def _bound(
    images: LongTailedData, directory: RunDirectory, options: Options
) -> keras.callbacks.Callback:
    others = {key: value for key, value in options.items() if key != "class"}
    return BoundTracker(
        images.class_counts,
        images.split_arrays("train"),
        None if images.x_test is None else images.split_arrays("test"),
        classes=_classes(images, options),
        class_names=images.class_names,
        path=directory.analysis / "bound.json",
        **others,
    )


def _classes(images: LongTailedData, options: Options) -> list[int]:
    """The classes whose bound is recorded; the first one is drawn."""
    counts = images.class_counts
    if "class" in options:
        return list(dict.fromkeys(class_number(images.class_names, c) for c in options["class"]))
    few = len(counts) <= _MANY_CLASSES
    ends = (head_class(counts), tail_class(counts))
    return list(dict.fromkeys((*ends, *(range(len(counts)) if few else ()))))


def _radius(
    images: LongTailedData, directory: RunDirectory, options: Options
) -> keras.callbacks.Callback:
    return RadiusLog(
        images.class_counts,
        images.split_arrays("train"),
        class_names=images.class_names,
        path=directory.analysis / "radius.json",
        **options,
    )


def _trajectory(
    images: LongTailedData, directory: RunDirectory, options: Options
) -> keras.callbacks.Callback:
    return WeightTrajectory(directory.trajectory_file)


RECORDERS: dict[str, Factory] = {"bound": _bound, "radius": _radius, "trajectory": _trajectory}
"""What can be recorded, by name; a recorder's files begin with its name."""


def check_for(record: Mapping[str, Options], images: LongTailedData, model: keras.Model) -> None:
    """Refuse options that do not fit what is trained, before it is.

    Raises:
        ValueError: there is no such class, or no weight that a pattern names.
    """
    for options in record.values():
        _classes(images, options)
        if "weights" in options:
            chosen_positions(model, model.trainable_variables, options["weights"])


def recorders(
    record: Mapping[str, Options], images: LongTailedData, directory: RunDirectory
) -> list[keras.callbacks.Callback]:
    """Return the callbacks that record, for stage 1 of a run."""
    if record:
        directory.analysis.mkdir(exist_ok=True)
    return [RECORDERS[name](images, directory, record[name]) for name in record]


def copy_records(
    record: Iterable[str], source: RunDirectory, directory: RunDirectory
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
