"""A finished run judged on other labelled images than its own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.data.images.files import ImageFiles
from keras_ccsam.data.images.store import taken
from keras_ccsam.data.sources.path import open_path
from keras_ccsam.data.sources.recognise import recognise
from keras_ccsam.data.sources.source import Images, Labels, Source
from keras_ccsam.deployment.subject import Subject, subject
from keras_ccsam.hints import did_you_mean
from keras_ccsam.metrics import Report
from keras_ccsam.metrics.evaluation import evaluate
from keras_ccsam.runs import parts
from keras_ccsam.runs.folders import PathLike

_NAMED = 8  # classes in a note at most
_OWN = (
    "the run was trained on most of these images, so that these numbers are too good; without "
    "--data, ccsam evaluate takes those that were held out"
)


@dataclass(frozen=True)
class Judged:
    """What a run scores on other images.

    Attributes:
        report: of the images of classes that the run knows; the groups are those of its training
            set.
        class_names: the run's.
        notes: what was left out, and what there was none of.
    """

    report: Report
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def evaluate_on(
    run: PathLike, path: PathLike, kind: str | None = None, *, trust_code: bool = False
) -> Judged:
    """Evaluate a run on a labelled folder, list, table or arrays.

    Classes are matched by their names. Images are seen as those that the run was evaluated on:
    of the same size, grey or in colour.

    Args:
        run: the folder of a finished run.
        path: where the images are; of one that has a test part, that part, else all of it.
        kind: what the path holds, one of `recognise.KINDS`; None: what it looks like.
        trust_code: of a run with a layer from outside, see `runs.open_run`.

    Raises:
        ValueError: the path cannot be opened, none of its classes is one of the run's, or the
            images do not fit the network.
    """
    about = subject(run, trust_code=trust_code)
    found = kind or recognise(path).kind
    options: dict[str, Any] = {"test_fraction": 0.0}
    if found != "arrays":
        options |= {"channels": about.channels, "size": max(4, *about.size)}
    source = open_path(path, found, **options)
    images, labels, part = _all_of(source)
    if found == "arrays" and images.shape[1:] != (*about.size, about.channels):
        raise ValueError(
            f"The run's model takes images of the shape {(*about.size, about.channels)}. "
            f"Received: {str(path)!r} with images of the shape {tuple(images.shape[1:])}"
        )
    if isinstance(images, ImageFiles):
        images = ImageFiles(
            images.paths,
            images.root,
            size=about.size,
            channels=about.channels,
            resize=about.resize,
        )
    rows, classes, notes = _matched(about, source, labels)
    if part is not None:
        notes = (part, *notes)
    elif _is_own(about, path):
        notes = (_OWN, *notes)
    network = about.network()
    options = parts.group_options(about.recipe().groups)
    report = evaluate(
        network,
        (images if len(rows) == len(labels) else taken(images, rows), classes),
        about.class_counts,
        from_logits=True,
        **options,
    )
    return Judged(report, about.class_names, notes)


def _is_own(about: Subject, path: PathLike) -> bool:
    """Whether these are the images that the run was made of, those to train on among them."""
    own = about.recipe().data.path
    return bool(own) and Path(own).expanduser().resolve() == Path(path).expanduser().resolve()


def _all_of(source: Source) -> tuple[Images, Labels, str | None]:
    """The images that are judged, and a note where not all are."""
    if source.x_test is not None and source.y_test is not None:
        left = len(source.y_train)
        these = "1 image to train on is" if left == 1 else f"{left} images to train on are"
        note = f"its test part is judged, and {these} left out"
        return source.x_test, source.y_test, note if left else None
    return source.x_train, source.y_train, None


def _matched(
    about: Subject, source: Source, labels: Labels
) -> tuple[np.ndarray, Labels, tuple[str, ...]]:
    """The rows of known classes, the run's number of each one's class, and what to say of it."""
    known = {name: label for label, name in enumerate(about.class_names)}
    there = np.bincount(labels, minlength=source.num_classes)
    unknown = [n for i, n in enumerate(source.class_names) if n not in known and there[i]]
    numbers = np.array([known.get(name, -1) for name in source.class_names], "int64")
    classes = numbers[labels]
    rows = np.flatnonzero(classes >= 0)
    if not len(rows):
        near = did_you_mean(unknown[0] if unknown else "", known) or "."
        raise ValueError(
            "none of the classes there is one that the run knows; they are matched by name. The "
            f"run has {_listed(about.class_names)}{near} Received: {_listed(source.class_names)}"
        )
    notes = []
    if unknown:
        left = len(labels) - len(rows)
        these, are = ("1 image", "is") if left == 1 else (f"{left} images", "are")
        classes_of = "1 class" if len(unknown) == 1 else f"{len(unknown)} classes"
        notes.append(
            f"{these} of {classes_of} that the run does not know {are} left out: {_listed(unknown)}"
        )
    has = np.unique(classes[rows])
    missing = [name for label, name in enumerate(about.class_names) if label not in has]
    if missing:
        notes.append(
            f"there is no image of {len(missing)} of the run's classes, which enter no mean: "
            f"{_listed(missing)}"
        )
    return rows, classes[rows].astype("int32"), tuple(notes)


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
