"""Labels that cannot be, refused before training starts."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from keras_ccsam.labels import check_labels, is_mixed
from keras_ccsam.training.sample_loss import SampleLoss


def check_fit_labels(
    x: Any, y: Any, num_outputs: int, loss: SampleLoss | None = None
) -> NDArray[np.int32] | None:
    """The classes (N,) of the labels given to `fit`, where they can be seen and if they can be.

    They must be one class per sample, and be as the loss takes them: integers for a sparse one,
    one-hot or soft rows for another cross-entropy, and 0 and 1 for one output.

    Args:
        x, y: of `keras.Model.fit`. Arrays are checked whole, a `PyDataset` by its first batch.
        num_outputs: columns of the model's outputs.
        loss: the compiled one.

    Returns:
        Classes (N,), of mixed samples the first ones; None for a `PyDataset` and whatever else does
        not show all labels.

    Raises:
        ValueError: for labels that cannot be.
    """
    whole = y is not None
    if y is None and isinstance(x, keras.utils.PyDataset) and len(x) > 0:
        batch = x[0]
        y = batch[1] if isinstance(batch, tuple) and len(batch) > 1 else None
    if y is None:
        return None
    classes = []
    for labels in [y["labels"], y["second_labels"]] if is_mixed(y) else [y]:
        if not hasattr(labels, "shape") or len(labels.shape) == 0:
            continue
        rows = len(labels.shape) == 2 and labels.shape[1] == num_outputs > 1
        if rows and loss is not None and "sparse" in _name(loss.loss):
            raise ValueError(
                "A sparse loss takes integer labels; for one-hot rows compile with "
                "loss='categorical_crossentropy'. "
                f"Received: labels of shape {tuple(labels.shape)}"
            )
        numbers = keras.ops.convert_to_numpy(labels) if keras.ops.is_tensor(labels) else labels
        if num_outputs == 1:
            classes.append(_binary_classes(numbers))
        else:
            classes.append(check_labels(numbers, "labels", None, num_outputs, soft=True))
    return classes[0] if classes and whole else None


def _binary_classes(labels: Any) -> NDArray[np.int32]:
    """Of labels of one output: 0, 1, or a probability of class 1."""
    labels = np.asarray(labels)
    shape = labels.shape
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise ValueError(
            "A model with one output takes labels 0 and 1 of shape (samples,) or (samples, 1), the "
            f"classes of class_counts=[negatives, positives]. Received: labels.shape={shape}"
        )
    outside = ~((labels >= 0) & (labels <= 1))
    if outside.any():
        row = int(outside.reshape(-1).argmax())
        raise ValueError(
            "Labels of a model with one output must be 0 or 1, or a probability between them. "
            f"Received: labels[{row}]={labels.reshape(-1)[row]}"
        )
    return np.rint(labels.reshape(-1)).astype(np.int32)


def _name(loss: Any) -> str:
    name: str = getattr(loss, "__name__", None) or type(loss).__name__
    return name.lower()
