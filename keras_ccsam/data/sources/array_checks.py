"""Validation of image arrays, names and counts that come from outside."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ccsam.checks import check_class_counts, shortened
from keras_ccsam.data.images.store import ImageStore
from keras_ccsam.data.sources.source import Images, Labels


def check_images(x: Any, name: str) -> Images:
    """Returns images as a (N, H, W, C) array of uint8 or float32, or a store as it is.

    Args:
        x: (N, H, W) or (N, H, W, C); uint8, another integer type within 0..255, or floats. Floats
            keep their values: nothing is rescaled. A store has been checked when it was made.
        name: what the message calls the argument.

    Raises:
        ValueError: wrong rank, no images, a value outside of 0..255, NaN or infinity.
    """
    if isinstance(x, ImageStore):
        return x
    if isinstance(x, Mapping) or (isinstance(x, list | tuple) and _are_several(x)):
        raise ValueError(
            f"{name} must be the images of one input. A network with several inputs trains with "
            "fit(x, y) on a dict or list of arrays, and its second stage with "
            f"callbacks.ClassifierRetraining((x, y)). Received: {name}={type(x).__name__} of "
            f"{len(x)} inputs"
        )
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


def _are_several(x: Sequence[Any]) -> bool:
    """Whether a list is of several inputs' arrays, and not of images."""
    ranks = {np.ndim(part) if hasattr(part, "shape") else -1 for part in x}
    return len(ranks) > 1 or len({np.shape(part) for part in x if hasattr(part, "shape")}) > 1


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
    """Refuses a class without a training image with a `ValueError`: no method can learn it.

    So is a single class: there is nothing to tell apart.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if len(class_names) == 1:
        raise ValueError(
            f"a classifier needs two classes at least, and there is one, {class_names[0]!r}. "
            f"Received: class_counts={counts.tolist()}"
        )
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        label = int(empty[0])
        raise ValueError(
            f"Every class needs a training image, but class {label} ({class_names[label]}) has "
            f"none. Received: class_counts={shortened(counts.tolist())}"
        )


def check_counts_match(labels: Labels, class_counts: Sequence[int], num_classes: int) -> None:
    """Refuses class counts that are not those of the labels with a `ValueError`."""
    actual = np.bincount(labels, minlength=num_classes).tolist()
    given = check_class_counts(class_counts, num_classes)
    for label, (has, says) in enumerate(zip(actual, given, strict=True)):
        if has != says:
            raise ValueError(
                f"class_counts does not match the labels: class {label} has {has} images. "
                f"Received: class_counts[{label}]={says}"
            )
