"""Long-tailed data from a dataset of Hugging Face, torch, grain or tf.data."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from keras_ccsam.data.long_tailed import LongTailedData
from keras_ccsam.data.sources.arrays import source
from keras_ccsam.data.sources.external import Options, Part, read_part, splits_of
from keras_ccsam.data.sources.listing import number_of_classes
from keras_ccsam.data.sources.source import Labels, Source
from keras_ccsam.data.tails.cut import cut
from keras_ccsam.data.tails.tail import Profile, Protocol, Tail
from keras_ccsam.labels import check_labels


def from_dataset(
    train: Any,
    test: Any = None,
    validation: Any = None,
    *,
    image: str | int = "",
    label: str | int = "",
    class_names: Sequence[str] | None = None,
    size: int | tuple[int, int] | Literal["auto"] = "auto",
    channels: int = 3,
    scale: float = 1.0,
    test_fraction: float = 0.2,
    name: str = "dataset",
    licence: str = "the owner's",
    max_bytes: int = Options.max_bytes,
    imbalance_ratio: float | None = None,
    profile: Profile = Tail.profile,
    protocol: Protocol = Tail.protocol,
    seed: int = Tail.seed,
    validation_fraction: float = Tail.validation_fraction,
) -> LongTailedData:
    """Wraps a dataset of Hugging Face's `datasets`, torch, grain or tf.data.

    Labels are read at once. Images of a dataset with random access (Hugging Face, torch, grain, any
    sequence) are asked for batch by batch; others are read into memory once, as uint8 images of the
    final size.

    Args:
        train: the dataset, or a dictionary of its parts, such as a `DatasetDict`. Items are pairs
            (image, label) or dictionaries. An image is a picture of Pillow, pixels in 0..255 with
            the channels first or last, an encoded file, or a path.
        test, validation: other parts of the same kind.
        image, label: keys or places of an item's image and label; as usually called without them.
        class_names: one per class; without them what the dataset says, else "0", "1", ...
        size: pixels of the square that the network sees, or (height, width); `"auto"`: the median
            of the shorter sides of 64 images, at most 224.
        channels: 3 for RGB, 1 for grey.
        scale: what pixels are multiplied by: 255 for floats in 0..1.
        test_fraction: share of each class held out where there is no test part.
        name, licence: of the set.
        max_bytes: bound of what is read into memory, of each part.
        imbalance_ratio, profile, protocol, seed, validation_fraction: as in `from_arrays`.

    Raises:
        ValueError: items are no pairs of image and label, labels have gaps, or a part is larger
            than the bound.

    Example:
        >>> data = cc.data.from_dataset(datasets.load_from_disk("birds"), size=64)
    """
    tail = Tail(imbalance_ratio, profile, protocol, seed, validation_fraction)
    tail.check()
    options = Options(image, label, size, channels, scale, max_bytes)
    made = dataset_source(
        train,
        test,
        validation,
        options,
        class_names=class_names,
        test_fraction=test_fraction,
        seed=seed,
        name=name,
        licence=licence,
    )
    return cut(made, tail, fit_head=True)


def dataset_source(
    train: Any,
    test: Any,
    validation: Any,
    options: Options,
    *,
    class_names: Sequence[str] | None = None,
    test_fraction: float = 0.2,
    seed: int = 0,
    name: str = "dataset",
    licence: str = "the owner's",
) -> Source:
    """The same before a tail is cut; arguments as in `from_dataset`.

    Raises:
        ValueError: as `from_dataset`.
    """
    given = {"train": train, "test": test, "validation": validation}
    splits = splits_of(train)
    if splits is not None:
        if test is not None or validation is not None:
            raise ValueError(
                "a dictionary of datasets has its own parts: leave test and validation out. "
                f"Received: train with the keys {', '.join(map(str, train))}"
            )
        given |= splits
    first = read_part(given["train"], options)
    if options.size == "auto":
        height, width = first.images.shape[1:3]
        options = Options(**{**vars(options), "size": (height, width)})
    parts = {"train": first} | {
        split: read_part(dataset, options)
        for split, dataset in given.items()
        if dataset is not None and split != "train"
    }
    names = _names(first, class_names)
    labels = {split: _labels(part, names, split) for split, part in parts.items()}
    names = names or tuple(map(str, range(number_of_classes(labels["train"].tolist(), name))))
    notes = [f"{split}: {part.note}" for split, part in parts.items() if part.note]
    other = parts.get("test")
    if other is None and test_fraction:
        notes.append(f"there is no test part: it is held out (test_fraction {test_fraction:g})")
    made = source(
        first.images,
        labels["train"],
        None if other is None else other.images,
        None if other is None else labels["test"],
        names,
        seed=seed,
        test_fraction=test_fraction if other is None else 0.0,
        name=name,
        licence=licence,
    )
    more = parts.get("validation")
    return Source(
        **{
            **vars(made),
            "origin": f"a dataset of the type {type(given['train']).__name__}",
            "x_validation": None if more is None else more.images,
            "y_validation": None if more is None else labels["validation"],
            "notes": tuple(notes),
        }
    )


def _names(part: Part, class_names: Sequence[str] | None) -> tuple[str, ...] | None:
    if class_names is not None:
        return tuple(map(str, class_names))
    if any(isinstance(label, str) for label in part.labels):
        return tuple(sorted({str(label) for label in part.labels}))
    return part.class_names


def _labels(part: Part, names: tuple[str, ...] | None, split: str) -> Labels:
    labels = part.labels
    if names is not None and any(isinstance(label, str) for label in labels):
        numbered = {name: number for number, name in enumerate(names)}
        unknown = next((label for label in labels if str(label) not in numbered), None)
        if unknown is not None:
            raise ValueError(
                f"the {split} part has a class that is not there to train on. "
                f"Received: label={unknown!r}"
            )
        labels = [numbered[str(label)] for label in labels]
    count = None if names is None else len(names)
    missing = next((row for row, label in enumerate(labels) if label is None), None)
    if missing is not None:
        raise ValueError(f"every item needs a label. Received: item {missing} of the {split} part")
    return check_labels(np.asarray(labels), f"labels of the {split} part", len(labels), count)
