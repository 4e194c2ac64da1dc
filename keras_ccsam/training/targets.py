"""The labels of a batch: integers, one-hot rows, or the two label vectors of mixup.

A mixed batch's `y` is a dictionary of `labels` (B,), `second_labels` (B,) and `mix` (B,): sample i
counts `mix[i]` towards its first label and the rest towards its second. Both hard labels are kept,
since CC-SAM takes a sample's class from the first.
"""

from typing import Any

from keras import ops

from keras_ccsam.typing import Tensor


def is_mixed(y: Any) -> bool:
    """Whether `y` is a mixup target."""
    return isinstance(y, dict)


def first_labels(y: Any) -> Tensor:
    """The targets by which a sample's class is told."""
    return y["labels"] if is_mixed(y) else y


def dominant_labels(y: Any) -> Tensor:
    """The targets that a metric compares with: of a mixed sample, those with the larger share."""
    if not is_mixed(y):
        return y
    labels, second = y["labels"], y["second_labels"]
    larger = ops.greater_equal(ops.cast(y["mix"], "float32"), 0.5)
    if len(labels.shape) > 1:
        larger = larger[:, None]
    return ops.where(larger, labels, second)


def class_indices(y: Any) -> Tensor:
    """(B,) int32 classes of (B,) or (B, 1) integer labels, or of (B, K) one-hot rows."""
    labels = ops.convert_to_tensor(first_labels(y))
    if len(labels.shape) == 2:
        labels = labels[:, 0] if labels.shape[1] == 1 else ops.argmax(labels, axis=1)
    return ops.cast(labels, "int32")
