"""Validation of image and label arrays that come from outside."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.sources.source import Images, Labels


def check_images(x: Any, name: str) -> Images:
    """Returns images as a (N, H, W, C) array of uint8 or float32.

    Args:
        x: (N, H, W) or (N, H, W, C); uint8, another integer type within 0..255, or floats. Floats
            keep their values: nothing is rescaled.
        name: what the message calls the argument.

    Raises:
        ValueError: wrong rank, no images, a value outside of 0..255, NaN or infinity.
    """
    x = np.asarray(x)
    if x.ndim not in (3, 4) or 0 in x.shape:
        raise ValueError(
            f"{name} must hold at least one image and have the shape (N, height, width) or "
            f"(N, height, width, channels). Received: {name}.shape={x.shape}"
        )
    if x.dtype.kind in "iu":
        if x.dtype != np.uint8 and (x.min() < 0 or x.max() > 255):
            raise ValueError(
                f"Integer images must lie in 0..255. Received: {name} with values from {x.min()} "
                f"to {x.max()}"
            )
        x = x.astype(np.uint8, copy=False)
    elif x.dtype.kind == "f":
        x = x.astype(np.float32, copy=False)
        bad = ~np.isfinite(x)
        if bad.any():
            first = int(np.argwhere(bad)[0][0])
            raise ValueError(
                f"Images must be finite, but {name}[{first}] holds NaN or infinity. "
                f"Received: {name} with {int(bad.sum())} such values"
            )
    else:
        raise ValueError(
            f"Images must be uint8 or floats. Received: {name}.dtype={x.dtype}",
        )
    return x[..., np.newaxis] if x.ndim == 3 else x


def check_labels(y: Any, name: str, num_images: int, num_classes: int | None = None) -> Labels:
    """Returns labels as int32 classes (N,).

    Args:
        y: integers (N,) or (N, 1), or one-hot rows (N, C).
        name: what the message calls the argument.
        num_images: N.
        num_classes: C; `None` accepts any class of at least 0.

    Raises:
        ValueError: wrong shape or length, not integers, not one-hot, or out of range.
    """
    y = np.asarray(y)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim not in (1, 2) or len(y) != num_images:
        raise ValueError(
            f"{name} must hold one label an image: the shape ({num_images},) or one-hot "
            f"({num_images}, classes). Received: {name}.shape={y.shape}"
        )
    if y.ndim == 2:
        return _from_one_hot(y, name, num_classes)
    whole = y.dtype.kind in "iu" or (y.dtype.kind == "f" and bool(np.all(y == np.floor(y))))
    if not whole:
        raise ValueError(f"Labels must be integers. Received: {name}.dtype={y.dtype}")
    limit = np.iinfo(np.int32).max if num_classes is None else num_classes - 1
    wrong = (y < 0) | (y > limit)
    if wrong.any():
        row = int(np.argmax(wrong))
        right = "at least 0" if num_classes is None else f"from 0 to {limit}"
        raise ValueError(f"Labels must be {right}. Received: {name}[{row}]={y[row]}")
    return y.astype(np.int32)


def _from_one_hot(y: NDArray[Any], name: str, num_classes: int | None) -> Labels:
    if num_classes is not None and y.shape[1] != num_classes:
        raise ValueError(
            f"One-hot labels must have {num_classes} columns. Received: {name}.shape={y.shape}"
        )
    if y.dtype.kind not in "iufb":
        raise ValueError(f"Labels must be numbers. Received: {name}.dtype={y.dtype}")
    wrong = ((y != 0) & (y != 1)).any(axis=1) | (y.sum(axis=1) != 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ValueError(
            "Two-dimensional labels must be one-hot: a single 1 a row, 0 elsewhere. "
            f"Received: {name}[{row}]={y[row].tolist()}"
        )
    return y.argmax(axis=1).astype(np.int32)


def check_class_names(
    class_names: Sequence[str] | None, num_classes: int | None
) -> tuple[str, ...] | None:
    """Returns the names as a tuple; a `ValueError` if their number is not `num_classes`."""
    if class_names is None:
        return None
    names = tuple(str(name) for name in class_names)
    if num_classes is not None and len(names) != num_classes:
        raise ValueError(
            f"class_names must name {num_classes} classes. Received: {len(names)} names"
        )
    if not names:
        raise ValueError("class_names must name at least one class. Received: class_names=()")
    return names


def check_all_present(labels: Labels, class_names: Sequence[str]) -> None:
    """Refuses a class without a training image with a `ValueError`: no method can learn it."""
    counts = np.bincount(labels, minlength=len(class_names))
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        label = int(empty[0])
        raise ValueError(
            f"Every class needs a training image, but class {label} ({class_names[label]}) has "
            f"none. Received: class_counts={_shortened(counts.tolist())}"
        )


def check_counts_match(labels: Labels, class_counts: Sequence[int], num_classes: int) -> None:
    """Refuses class counts that are not those of the labels with a `ValueError`."""
    actual = np.bincount(labels, minlength=num_classes).tolist()
    given = [int(n) for n in class_counts]
    if len(given) != num_classes:
        raise ValueError(
            f"class_counts must have one entry for each of the {num_classes} classes. "
            f"Received: class_counts={_shortened(given)}"
        )
    for label, (has, says) in enumerate(zip(actual, given, strict=True)):
        if has != says:
            raise ValueError(
                f"class_counts does not match the labels: class {label} has {has} images. "
                f"Received: class_counts[{label}]={says}"
            )


def _shortened(counts: list[int]) -> str:
    return str(counts) if len(counts) <= 12 else f"[{', '.join(map(str, counts[:12]))}, ...]"
