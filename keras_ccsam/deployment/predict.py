"""New images, and what a trained network says of them."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import keras
import numpy as np

from keras_ccsam import pixels
from keras_ccsam.checks import require
from keras_ccsam.data.images.view import Centre
from keras_ccsam.deployment.classifier import Classifier
from keras_ccsam.deployment.found_images import ReadImage, image_files, read_ahead
from keras_ccsam.runs.folders import PathLike

_ASKED_ALIKE = 64  # images that are compared with the training images, the first of them


@dataclass(frozen=True)
class Prediction:
    """What is said of one image.

    Attributes:
        path: of the image.
        labels: the most probable classes, the best first; empty where it cannot be read.
        names: theirs.
        probabilities: theirs.
        problem: why it cannot be read; None if it can.
        note: what is strange about it; None if nothing is.
    """

    path: str
    labels: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    probabilities: tuple[float, ...] = ()
    problem: str | None = None
    note: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON types."""
        if self.problem is not None:
            return {"image": self.path, "problem": self.problem}
        top = [
            {"class": name, "label": label, "probability": round(p, 6)}
            for name, label, p in zip(self.names, self.labels, self.probabilities, strict=True)
        ]
        note = {} if self.note is None else {"note": self.note}
        return {"image": self.path, **top[0], "top": top, **note}


def predict(
    run: PathLike | keras.Model | Classifier,
    images: Iterable[PathLike] | PathLike,
    *,
    top: int = 1,
    batch_size: int = 64,
    threads: int | None = None,
    **options: Any,
) -> Iterator[Prediction]:
    """What a trained network says of image files, one after the other.

    Files are decoded by threads while the network computes, and never more than a few batches are
    in memory. One that cannot be read is said to be so, and the others go on.

    Args:
        run: what `Classifier` takes, or one.
        images: files, and folders whose images are taken recursively; any iterable of them.
        top: classes per image.
        batch_size: images per step of the network.
        threads: that decode; as many as there are processors by default, at most 16.
        **options: of `Classifier`.

    Raises:
        ValueError: as `Classifier`; or a number that is not positive.
    """
    require(top >= 1, "top", top, "at least 1")
    require(batch_size >= 1, "batch_size", batch_size, "at least 1")
    require(threads is None or threads >= 1, "threads", threads, "at least 1")
    asked = run if isinstance(run, Classifier) else Classifier(run, **options)
    named = [images] if isinstance(images, str | os.PathLike) else images
    return _predictions(asked, named, top, batch_size, threads or min(16, os.cpu_count() or 1))


def _predictions(
    asked: Classifier, named: Iterable[PathLike], top: int, batch_size: int, threads: int
) -> Iterator[Prediction]:
    view = Centre(asked.size, asked.resize)
    ahead = max(2 * batch_size, threads)
    stream = read_ahead(image_files(named), view, asked.channels, threads=threads, ahead=ahead)
    first: list[np.ndarray] | None = []
    while batch := list(islice(stream, batch_size)):
        readable = [image.pixels for image in batch if image.pixels is not None]
        rows: Iterator[np.ndarray] = iter(())
        if readable:
            if first is not None:
                first = _compared(asked, first, readable, last=len(batch) < batch_size)
            # Every step has the same shape, so that nothing is compiled for the last one.
            filled = readable + [readable[-1]] * (batch_size - len(readable))
            rows = iter(asked.of_files(np.stack(filled)))
        for image in batch:
            yield _said(image, asked.class_names, rows, top)
    if first:
        _compared(asked, first, [], last=True)


def _compared(
    asked: Classifier, first: list[np.ndarray], new: list[np.ndarray], last: bool
) -> list[np.ndarray] | None:
    """Warn, once, of colours that are not those of the training images; None once that is done."""
    first = [*first, *new][:_ASKED_ALIKE]
    if len(first) < _ASKED_ALIKE and not last:
        return first
    record = asked.record
    if record is not None and record.maximum > 1.5:
        for found in pixels.findings(np.stack(first), record):
            if found.kind == "colour":
                pixels.warn(found.text)
    return None


def _said(
    image: ReadImage, names: Sequence[str], rows: Iterator[np.ndarray], top: int
) -> Prediction:
    if image.pixels is None:
        return Prediction(image.path, problem=image.problem)
    row = next(rows)
    labels = np.argsort(-row, kind="stable")[:top]
    constant = image.pixels.min() == image.pixels.max()
    return Prediction(
        image.path,
        tuple(int(label) for label in labels),
        tuple(names[label] for label in labels),
        tuple(float(row[label]) for label in labels),
        note="all of its pixels have one value" if constant else None,
    )
