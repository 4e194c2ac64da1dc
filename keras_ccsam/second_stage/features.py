"""Features of images: computed once, and drawn in the batches of another data set's plan."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_ccsam.data import BatchSequence, ImageStore
from keras_ccsam.data.batches.batch_options import BatchOptions
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.data.batches.resident import DeviceCopy, ResidentImages
from keras_ccsam.finite import check_finite_weights
from keras_ccsam.labels import check_labels
from keras_ccsam.training.model import SharpnessAwareModel

Images: TypeAlias = np.ndarray | ImageStore | Mapping[str, np.ndarray] | Sequence[np.ndarray]
LabelledImages: TypeAlias = BatchSequence | tuple[Images, np.ndarray]


def extract_features(
    model: SharpnessAwareModel, images: Images, batch_size: int = BatchOptions.batch_size
) -> np.ndarray:
    """(N, D) features of images, in inference mode.

    Args:
        model: built or not.
        images: (N, ...), as its backbone takes them; for several inputs a dict or list of arrays.
        batch_size: images at a time.

    Raises:
        ValueError: if a weight of the backbone is NaN or infinite.
    """
    check_finite_weights(model.backbone)
    if isinstance(images, Mapping):  # Keras wants the inputs named as the keys
        inputs = {name: keras.Input(part.shape[1:], name=name) for name, part in images.items()}
    else:
        inputs = keras.tree.map_structure(lambda part: keras.Input(part.shape[1:]), images)
    extractor = keras.Model(inputs, model.backbone(inputs))
    features: np.ndarray = predicted(extractor, images, batch_size)
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
    classes = check_labels(labels, "labels", None, model.num_classes, soft=True)
    return extract_features(model, images).astype("float64"), classes


class FeatureBatches(keras.utils.PyDataset):
    """The batches of a `BatchSequence`'s plan, with features in place of images.

    Args:
        sequence: tells the rows of each step.
        features: (N, D), one row per image of `sequence.arrays()`.
        labels: (N,).
    """

    def __init__(self, sequence: BatchSequence, features: np.ndarray, labels: np.ndarray) -> None:
        super().__init__(workers=1)
        self._sequence, self._features, self._labels = sequence, features, labels
        self.resident: ResidentImages | None = None
        if sequence.resident is not None:
            self.resident = ResidentImages(DeviceCopy(features), (), sequence.options)

    def __len__(self) -> int:
        """Batches of an epoch."""
        return len(self._sequence)

    def __getitem__(self, step: int) -> tuple[Any, ...]:
        """Features (B, D), labels (B,) and, where the data set weighs its images, weights (B,).

        Where the images lie on the device, so do the features, and a step gathers them.
        """
        rows = self._sequence.rows(step)
        x = self._features[rows] if self.resident is None else self.resident.gathered(rows)
        batch = x, self._labels[rows]
        weights = self._sequence.weights(rows)
        return batch if weights is None else (*batch, weights)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """Of the training part; see `BatchSequence`."""
        return self._sequence.class_counts

    @property
    def class_names(self) -> tuple[str, ...]:
        """One name per class."""
        return self._sequence.class_names

    def on_host(self) -> "FeatureBatches":
        """The same batches with their features in them."""
        return FeatureBatches(self._sequence.on_host(), self._features, self._labels)

    def set_epoch(self, epoch: int) -> None:
        """Passes the epoch on."""
        self._sequence.set_epoch(epoch)


def on_features(
    sequence: BatchSequence, features: np.ndarray, labels: np.ndarray
) -> tuple[FeatureBatches, keras.Layer]:
    """Batches of features, and the built layer that stands for the backbone on them.

    Args:
        sequence, features, labels: as in `FeatureBatches`.
    """
    backbone = keras.layers.Identity(name="features")
    backbone.build((None, features.shape[-1]))
    return FeatureBatches(sequence, features, labels), backbone
