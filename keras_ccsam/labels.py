"""The ground floor of labels: what forms they come in, and the classes that they name.

Labels are class numbers (N,) or (N, 1), or rows (N, K): one-hot, or soft ones that add up to 1.
A network with one output tells two classes apart by labels 0 and 1, or probabilities of class 1.

A mixed batch's `y` is a dictionary of `labels` (B,), `second_labels` (B,) and `mix` (B,): sample i
counts `mix[i]` towards its first label and the rest towards its second. Both hard labels are kept,
since CC-SAM takes a sample's class from the first.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_ccsam.hints import closest
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
    """(B,) int32 classes of (B,) or (B, 1) labels, or of (B, K) rows; of soft ones the likeliest.

    A label (B, 1) that is no whole number is a probability of class 1.
    """
    labels = ops.convert_to_tensor(first_labels(y))
    if len(labels.shape) == 2 and labels.shape[1] != 1:
        return ops.cast(ops.argmax(labels, axis=1), "int32")
    if "float" in str(labels.dtype):
        labels = ops.round(labels)
    return ops.cast(ops.reshape(labels, (-1,)), "int32")


def check_labels(
    y: Any, name: str, num_samples: int | None, num_classes: int | None, *, soft: bool = False
) -> NDArray[np.int32]:
    """Labels as int32 classes (N,), if they are one class per sample.

    Args:
        y: class numbers (N,) or (N, 1), or rows (N, K).
        name: what the message calls the argument.
        num_samples: N; `None` accepts any.
        num_classes: K; `None` accepts any class of at least 0.
        soft: whether rows may be probabilities that add up to 1, as label smoothing makes them;
            one-hot rows alone by default.

    Raises:
        ValueError: wrong shape or length, no whole numbers, several classes per row, or a class out
            of range.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or (num_samples is not None and len(y) != num_samples):
        n = "N" if num_samples is None else num_samples
        raise ValueError(
            f"{name} must hold one label per sample: the shape ({n},), or ({n}, classes) for "
            f"one-hot rows. Received: {name}.shape={y.shape}"
        )
    if y.dtype.kind not in "iufb":
        raise ValueError(f"Labels must be numbers. Received: {name}.dtype={y.dtype}")
    if y.ndim == 2:
        return _of_rows(y, name, num_classes, soft)
    if not (y.dtype.kind in "iub" or bool(np.all(y == np.floor(y)))):
        raise ValueError(f"Labels must be integers. Received: {name}.dtype={y.dtype}")
    limit = np.iinfo(np.int32).max if num_classes is None else num_classes - 1
    wrong = (y < 0) | (y > limit)
    if wrong.any():
        row = int(np.argmax(wrong))
        right = "at least 0" if num_classes is None else f"from 0 to {limit}"
        raise ValueError(f"Labels must be {right}. Received: {name}[{row}]={y[row]}")
    return y.astype(np.int32)


def _of_rows(y: NDArray[Any], name: str, num_classes: int | None, soft: bool) -> NDArray[np.int32]:
    if num_classes is not None and y.shape[1] != num_classes:
        raise ValueError(
            f"One-hot labels must have {num_classes} columns. Received: {name}.shape={y.shape}"
        )
    several = (y > 0).sum(axis=1) > 1
    if soft:
        # What half precision makes of a thousand classes' shares still counts as 1.
        wrong = (y < 0).any(axis=1) | ~(np.abs(y.sum(axis=1, dtype="float64") - 1.0) <= 1e-2)
    else:
        wrong = ((y != 0) & (y != 1)).any(axis=1) | (y.sum(axis=1) != 1)
    if not wrong.any():
        return y.argmax(axis=1).astype(np.int32)
    row = int(np.argmax(wrong))
    shown = ", ".join(f"{value:g}" for value in y[row, :12].astype("float64"))
    shown += ", ..." if y.shape[1] > 12 else ""
    right = "probabilities that add up to 1" if soft else "a single 1 per row, 0 elsewhere"
    if several[row] and y[row].sum() > 1:
        raise ValueError(
            "A sample must have one class; labels with several ones per row (multi-label) are not "
            f"supported, since a class's samples could not be told apart. Two-dimensional labels "
            f"must be one-hot: {right}. Received: {name}[{row}]=[{shown}]"
        )
    raise ValueError(
        f"Two-dimensional labels must be one-hot: {right}. Received: {name}[{row}]=[{shown}]"
    )


def class_number(names: Sequence[str], label: str) -> int:
    """Return the class that a name or a number stands for; a name goes first.

    Raises:
        ValueError: there is none.
    """
    if label in names:
        return names.index(label)
    if label.isascii() and label.isdigit() and int(label) < len(names):
        return int(label)
    near = closest(label, names)
    hint = f"; did you mean {near!r}?" if near else "."
    raise ValueError(
        f"a class is a name, or a number from 0 to {len(names) - 1}{hint} Received: class={label!r}"
    )
