"""Long-tailed data from the user's own arrays."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ccsam import pixels
from keras_ccsam.data.images.store import taken
from keras_ccsam.data.long_tailed import LongTailedData
from keras_ccsam.data.sources.array_checks import (
    check_class_names,
    check_counts_match,
    check_images,
)
from keras_ccsam.data.sources.source import Source
from keras_ccsam.data.tails.cut import cut
from keras_ccsam.data.tails.subset import stratified_split
from keras_ccsam.data.tails.tail import Profile, Protocol, Tail, check_option
from keras_ccsam.labels import check_labels

_TEST_STREAM = 1


def from_arrays(
    x: Any,
    y: Any,
    *of_source: Any,
    imbalance_ratio: float | None = None,
    profile: Profile = Tail.profile,
    protocol: Protocol = Tail.protocol,
    seed: int = Tail.seed,
    validation_fraction: float = Tail.validation_fraction,
    **options_of_source: Any,
) -> LongTailedData:
    """Wraps labelled images, as they are or cut to a long-tailed profile.

    Args:
        x: images (N, H, W) or (N, H, W, C). uint8 in 0..255 is what the models of this package
            take; float images keep their values (choose the model's normalisation accordingly).
            Or an `ImageStore`, such as `ImageFiles`, whose images are read batch by batch.
        y: classes (N,) or (N, 1), or one-hot (N, K).
        *of_source, **options_of_source: the other arguments of `source`, by place or by name:
            x_test, y_test, class_names; num_classes, class_counts, test_fraction, name, licence.
        imbalance_ratio: `None` keeps all images; a number cuts the classes to `profile`, with the
            largest head that every class can fill.
        profile, protocol, validation_fraction: as in `load`.
        seed: of the splits and of the protocol `"seeded"`.

    Returns:
        The data; `train_indices` are positions in `x`.

    Raises:
        ValueError: if shapes, types, ranges, names or counts do not fit together, there is one
            class alone, or the channels come first.
    """
    tail = Tail(imbalance_ratio, profile, protocol, seed, validation_fraction)
    return cut(source(x, y, *of_source, seed=seed, **options_of_source), tail, fit_head=True)


def source(
    x: Any,
    y: Any,
    x_test: Any = None,
    y_test: Any = None,
    class_names: Sequence[str] | None = None,
    *,
    num_classes: int | None = None,
    class_counts: Sequence[int] | None = None,
    seed: int = Tail.seed,
    test_fraction: float = 0.0,
    name: str = "arrays",
    licence: str = "the owner's",
) -> Source:
    """Labelled images before a long tail is cut: what a dataset of your own gives to recipes.

    Args:
        x: images (N, H, W) or (N, H, W, C), uint8 in 0..255, or floats, which keep their values;
            or an `ImageStore`.
        y: classes (N,) or (N, 1), or one-hot (N, K).
        x_test: test images of the same height, width and channels.
        y_test: their classes.
        class_names: one name per class; without them "0", "1", ...
        num_classes: K; without it, that of `class_names`, one-hot columns, or the largest label.
        class_counts: if given, must be the counts of `y`; a guard against mixed-up files.
        seed: of the test images that `test_fraction` holds out.
        test_fraction: share of each class held out as test set before a profile is cut, in
            [0, 1); only without `x_test`.
        name: name of the data set.
        licence: terms of the images, and whom to cite.

    Raises:
        ValueError: as `from_arrays`.

    Example:
        >>> def birds(path):  # in a recipe: data.name = "my_lab.birds:birds"
        ...     images = np.load(path)
        ...     return cc.data.source(images["x"], images["y"], test_fraction=0.2, name="birds")
    """
    x = check_images(x, "x")
    pixels.check(x, channels_last=True, name="x")
    names = check_class_names(class_names, num_classes)
    y_array = np.asarray(y)
    if num_classes is None:
        one_hot = y_array.ndim == 2 and y_array.shape[1] > 1
        num_classes = len(names) if names else (y_array.shape[1] if one_hot else None)
    labels = check_labels(y_array, "y", len(x), num_classes)
    if num_classes is None:
        num_classes = int(labels.max()) + 1
        if num_classes > len(labels):  # before a name is made for each
            raise ValueError(
                f"labels must be 0, 1, 2, ... without a gap, and {len(labels)} of them cannot fill "
                f"{num_classes} classes. Received: y with labels up to {num_classes - 1}"
            )
    names = names or tuple(str(i) for i in range(num_classes))
    if class_counts is not None:
        check_counts_match(labels, class_counts, num_classes)

    check_option("validation_fraction", test_fraction, "test_fraction")
    if (x_test is None) != (y_test is None):
        given = "x_test" if y_test is None else "y_test"
        raise ValueError(f"x_test and y_test come together. Received: only {given}")
    rows = np.arange(len(x), dtype=np.int64)
    if x_test is not None:
        if test_fraction:
            raise ValueError(
                "test_fraction cuts a test set from x, so it excludes x_test. "
                f"Received: test_fraction={test_fraction}"
            )
        x_test = check_images(x_test, "x_test")
        pixels.check(x_test, pixels.record(x), name="x_test")
        if x_test.shape[1:] != x.shape[1:] or x_test.dtype != x.dtype:
            raise ValueError(
                f"x_test must have the image shape and type of x, {x.shape[1:]} {x.dtype}. "
                f"Received: x_test.shape={x_test.shape}, x_test.dtype={x_test.dtype}"
            )
        y_test = check_labels(y_test, "y_test", len(x_test), num_classes)
    elif test_fraction:
        rows, held = stratified_split(labels, test_fraction, seed, _TEST_STREAM)
        x_test, y_test = taken(x, held), labels[held]
    return Source(
        name=name,
        x_train=taken(x, rows) if test_fraction else x,
        y_train=labels[rows],
        x_test=x_test,
        y_test=y_test,
        class_names=names,
        positions=rows,
        origin="arrays",
        licence=licence,
    )
