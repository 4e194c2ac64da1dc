"""Arrays of any kind as what a second stage draws its batches from.

A `BatchSequence` is made for images. The stage needs of it only which rows a step takes, as it
computes the features of all rows once; so arrays, or a dict or list of them for a network with
several inputs, do as well.
"""

import keras
import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data import BatchSequence
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.data.sources.array_checks import check_all_present
from keras_ccsam.labels import check_labels
from keras_ccsam.second_stage.features import Images, LabelledImages


class _Rows:
    """Labelled rows without their inputs: the `LabelledParts` of a `BatchSequence`."""

    name = "arrays"

    def __init__(self, labels: NDArray[np.int32]) -> None:
        self._labels = labels
        self.class_counts: tuple[int, ...] = tuple(np.bincount(labels).tolist())
        self.num_classes = len(self.class_counts)
        self.class_names = tuple(map(str, range(self.num_classes)))

    def split_arrays(self, split: Split) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
        """Nothing, one row each, and the labels."""
        return np.empty((len(self._labels), 0), "float32"), self._labels


def inputs_and_labels(train: LabelledImages) -> tuple[Images, np.ndarray]:
    """The inputs of all rows, in order and unaugmented, and their labels."""
    return train.arrays() if isinstance(train, BatchSequence) else train


def row_batches(train: object) -> BatchSequence:
    """The batches that tell a step's rows: the training data's own, or those of arrays.

    Args:
        train: a `data.BatchSequence`; or a tuple of inputs (N, ...), an array or a dict or list of
            them, and labels (N,) or one-hot (N, K). Its batches are of `BatchOptions`.

    Raises:
        ValueError: for other data, or labels that cannot be.
    """
    if isinstance(train, BatchSequence):
        return train
    if not isinstance(train, tuple) or len(train) != 2:
        raise ValueError(
            "`train` must be a keras_ccsam.data.BatchSequence, which can be resampled class by "
            "class, or a tuple of inputs and labels: make the first of images with "
            f"data.from_arrays(x, y).train. Received: train={type(train).__name__}"
        )
    inputs, labels = train
    parts = keras.tree.flatten(inputs)
    if not parts or not all(hasattr(part, "shape") and len(part.shape) for part in parts):
        raise ValueError(
            "The inputs must be an array, or a dict or list of arrays, with one row per sample. "
            f"Received: train=({type(inputs).__name__}, {type(labels).__name__})"
        )
    sizes = {len(part) for part in parts}
    if len(sizes) > 1:
        raise ValueError(
            "Several inputs must have one row per sample, so as many each. "
            f"Received: inputs of {sorted(sizes)} rows"
        )
    classes = check_labels(labels, "labels", sizes.pop(), None)
    rows = _Rows(classes)
    check_all_present(classes, rows.class_names)
    return BatchSequence(rows)


def refuse_passes(**options: object) -> None:
    """Refuses, with a `ValueError`, options for which arrays would pass the network each epoch."""
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    raise ValueError(
        "On arrays the features are computed once, so they are neither augmented nor mixed, and "
        "the network is frozen: leave out `augment`, `mixup` and `batch_norm`, or give images as "
        f"data.from_arrays(x, y).train. Received: {given}"
    )
