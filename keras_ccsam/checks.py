"""The ground floor: checks of what users pass, and the numbers that everybody needs.

Every other file may import this one; it imports nothing of ours but `typing`.
"""

import difflib
from collections.abc import Iterable, Sequence

import keras
from keras import ops

from keras_ccsam.typing import Tensor


def require(condition: bool, name: str, value: object, expected: str) -> None:
    """Raises the ValueError of an argument outside its range."""
    if not condition:
        raise ValueError(f"`{name}` must be {expected}. Received: {name}={value!r}")


def closest(typed: object, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name that is most like what was typed; None if none is.

    Args:
        typed: what the user wrote.
        known: the names that there are.
        cutoff: how alike they must be, from 0 (anything) to 1 (the same).
    """
    found = difflib.get_close_matches(str(typed), list(known), n=1, cutoff=cutoff)
    return found[0] if found else None


def did_you_mean(typed: object, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`"; did you mean 'sam'?"`, or nothing where no known name is alike."""
    found = closest(typed, known, cutoff)
    return "" if found is None else f"; did you mean {found!r}?"


def check_class_counts(class_counts: Sequence[int]) -> tuple[int, ...]:
    """The counts of the training set, as integers.

    Raises:
        ValueError: if there are fewer than two, one is below 1, or one is not an integer.
    """
    counts = tuple(class_counts)
    if len(counts) < 2:
        raise ValueError(
            "`class_counts` must have one count for each of at least two classes. "
            f"Received: class_counts={counts}"
        )
    for index, count in enumerate(counts):
        # Written so that NaN, of which every comparison is false, is refused, too.
        if not (count >= 1 and count < float("inf") and int(count) == count):
            raise ValueError(
                "`class_counts` must be the number of training images of each class, a whole "
                f"number of at least 1; class {index} has {count}. "
                f"Received: class_counts={list(counts)}"
            )
    return tuple(int(count) for count in counts)


def check_counts_of_head(class_counts: Sequence[int], num_classes: int) -> None:
    """Raises ValueError unless there is one count for each of the head's classes."""
    if num_classes != len(class_counts):
        raise ValueError(
            f"`class_counts` must have one count per class: the head has {num_classes} "
            f"classes, class_counts has {len(class_counts)}. "
            f"Received: class_counts={list(class_counts)}"
        )


def at_least_float32(tensor: Tensor) -> Tensor:
    """The tensor in float32, or in float64 where it is that wide."""
    narrow = keras.backend.standardize_dtype(tensor.dtype) != "float64"
    return ops.cast(tensor, "float32") if narrow else tensor
