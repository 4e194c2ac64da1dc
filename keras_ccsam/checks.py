"""The ground floor: checks of what users pass, and the numbers that everybody needs.

Every other file may import this one; it imports nothing of ours but `typing`.
"""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_ccsam.typing import Tensor


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Raises the ValueError of an argument outside its range."""
    if not condition:
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")


def check_class_counts(
    class_counts: Sequence[int], num_classes: int | None = None, *, at_least: int = 1
) -> tuple[int, ...]:
    """The counts of the training set, as integers.

    Args:
        class_counts: one number per class.
        num_classes: K, how many there must be; by default two or more.
        at_least: of each count; 0 where a class without images makes sense.

    Raises:
        ValueError: if there are not as many, one is too small, or one is no whole number.
    """
    try:
        counts = np.asarray(class_counts)
    except (TypeError, ValueError):  # rows of different lengths, a tensor that is no number yet
        counts = np.asarray(None)
    if counts.dtype.kind not in "iuf":
        raise ValueError(
            "`class_counts` must be a list of whole numbers, the training images of each class in "
            "the order of the labels, for example numpy.bincount(y_train). "
            f"Received: class_counts={class_counts!r} of type {type(class_counts).__name__}"
        )
    if counts.ndim != 1 or len(counts) < 2:
        raise ValueError(
            "`class_counts` must have one count for each of at least two classes. "
            f"Received: class_counts={class_counts!r}"
        )
    # Written so that NaN, of which every comparison is false, is refused, too.
    sound = (counts >= at_least) & (counts < np.inf) & (counts == np.floor(counts))
    if not sound.all():
        index = int(np.argmin(sound))
        raise ValueError(
            "`class_counts` must be the number of training images of each class, a whole number "
            f"of at least {at_least}; class {index} has {counts[index]}. "
            f"Received: class_counts={shortened(counts.tolist())}"
        )
    if num_classes is not None and len(counts) != num_classes:
        raise ValueError(
            f"`class_counts` must have one entry for each of the {num_classes} classes; it has "
            f"{len(counts)}. Received: class_counts={shortened(counts.tolist())}"
        )
    return tuple(int(count) for count in counts)


def shortened(counts: Sequence[int]) -> str:
    """The counts as text, at most twelve of them."""
    return str(list(counts)) if len(counts) <= 12 else f"[{', '.join(map(str, counts[:12]))}, ...]"


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 where it is that wide."""
    narrow = keras.backend.standardize_dtype(tensor.dtype) != "float64"
    return ops.cast(tensor, "float32") if narrow else tensor
