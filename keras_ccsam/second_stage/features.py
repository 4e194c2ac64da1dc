"""Features of images: computed once, and drawn in the batches of another data set's plan."""

from typing import TypeAlias

import keras
import numpy as np

from keras_ccsam.data import BatchSequence
from keras_ccsam.training.label_check import check_labels
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.labels import class_indices

LabelledImages: TypeAlias = BatchSequence | tuple[np.ndarray, np.ndarray]


def extract_features(
    model: SharpnessAwareModel, images: np.ndarray, batch_size: int | None = None
) -> np.ndarray:
    """(N, D) features of images, in inference mode.

    Args:
        model: built or not.
        images: (N, ...), as its backbone takes them.
        batch_size: 128 by default.
    """
    inputs = keras.Input(shape=images.shape[1:])
    extractor = keras.Model(inputs, model.backbone(inputs))
    features: np.ndarray = extractor.predict(images, batch_size=batch_size or 128, verbose=0)
    return features


def labelled_features(
    model: SharpnessAwareModel, data: LabelledImages
) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) in float64 and classes (N,) of a whole part, unaugmented and in order.

    Args:
        model: built or not.
        data: a `data.BatchSequence`, or a pair of images and labels (integers or one-hot).

    Raises:
        ValueError: for other data, or a label outside [0, K).
    """
    pair = data.arrays() if isinstance(data, BatchSequence) else data
    if not isinstance(pair, tuple) or len(pair) != 2:
        raise ValueError(
            "The data must be a keras_ccsam.data.BatchSequence, or a tuple of images and labels. "
            f"Received: data={type(data).__name__}"
        )
    images, labels = pair
    check_labels(images, labels, model.num_classes)
    classes: np.ndarray = keras.ops.convert_to_numpy(class_indices(labels))
    return extract_features(model, images).astype("float64"), classes


class FeatureBatches(keras.utils.PyDataset):
    """The batches of a `BatchSequence`'s plan, with features in place of images.

    Args:
        sequence: tells the rows of each step.
        features: (N, D), one row an image of `sequence.arrays()`.
        labels: (N,).
    """

    def __init__(self, sequence: BatchSequence, features: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workers=1)
        self._sequence, self._features, self._labels = sequence, features, labels

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._sequence)

    def __getitem__(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """Features (B, D) and labels (B,)."""
        rows = self._sequence.rows(step)
        return self._features[rows], self._labels[rows]

    def set_epoch(self, epoch: int) -> None:
        """Passes the epoch on."""
        self._sequence.set_epoch(epoch)
