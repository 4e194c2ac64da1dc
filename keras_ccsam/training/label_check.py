"""Labels that cannot be, refused before training starts."""

from typing import Any

import keras
import numpy as np

from keras_ccsam.training.sample_loss import SampleLoss
from keras_ccsam.training.targets import class_indices, is_mixed


def check_labels(x: Any, y: Any, num_classes: int, loss: SampleLoss | None = None) -> None:
    """Raises ValueError for labels that cannot be, where they can be seen.

    They must lie in [0, num_classes), and be as the loss takes them: integers for a sparse one,
    one-hot rows for another cross-entropy.
    """
    if y is None and isinstance(x, keras.utils.PyDataset) and len(x) > 0:
        batch = x[0]
        y = batch[1] if isinstance(batch, tuple) and len(batch) > 1 else None
    if y is None:
        return
    for labels in [y["labels"], y["second_labels"]] if is_mixed(y) else [y]:
        if not hasattr(labels, "shape") or len(labels.shape) == 0:
            continue
        one_hot = len(labels.shape) == 2 and labels.shape[1] != 1
        if one_hot and labels.shape[1] != num_classes:
            raise ValueError(
                f"One-hot labels must have {num_classes} columns, one a class. "
                f"Received: labels of shape {tuple(labels.shape)}"
            )
        if one_hot and loss is not None and "sparse" in _name(loss.loss):
            raise ValueError(
                "A sparse loss takes integer labels; for one-hot rows compile with "
                "loss='categorical_crossentropy'. "
                f"Received: labels of shape {tuple(labels.shape)}"
            )
        classes = np.asarray(keras.ops.convert_to_numpy(class_indices(labels)))
        outside = classes[(classes < 0) | (classes >= num_classes)]
        if outside.size:
            raise ValueError(
                f"Labels must lie in [0, {num_classes}), one number a class. "
                f"Received: label {int(outside[0])}"
            )


def _name(loss: Any) -> str:
    name: str = getattr(loss, "__name__", None) or type(loss).__name__
    return name.lower()
