"""Datasets of Hugging Face, torch, grain and tf.data: labels first, images when they are needed.

Nothing of these packages is imported here: a dataset is known by what it can do. One that gives any
item by its number stays where it is; one that can only be gone through is read once into memory, as
uint8 images of the size that the network sees, within a bound that is said.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.store import ImageStore
from keras_ccsam.data.sources.dataset_images import DatasetImages, as_image, encoded
from keras_ccsam.data.sources.image_size import of_sides, side_of
from keras_ccsam.data.sources.recognise import split_of
from keras_ccsam.data.sources.table_columns import SPELLINGS

_SAMPLED = 64


@dataclass(frozen=True)
class Options:
    """How a dataset is read.

    Attributes:
        image, label: of items that are dictionaries, the keys; of others, their places. Empty: as
            usually called, or the first and the second.
        size: of the images, or "auto".
        channels: 1 or 3.
        scale: what pixels are multiplied by.
        max_bytes: of images that are read into memory.
    """

    image: str | int = ""
    label: str | int = ""
    size: int | tuple[int, int] | Literal["auto"] = "auto"
    channels: int = 3
    scale: float = 1.0
    max_bytes: int = 2 * 2**30


@dataclass(frozen=True, eq=False)
class Part:
    """One part of a set.

    Attributes:
        images: a store, or what was read into memory.
        labels: as the dataset has them.
        class_names: where the dataset knows them.
        note: what a user should know.
    """

    images: ImageStore | NDArray[np.uint8]
    labels: list[Any]
    class_names: tuple[str, ...] | None
    note: str = ""


def read_part(dataset: Any, options: Options) -> Part:
    """Labels and images of one part.

    Args:
        dataset: of Hugging Face, torch, grain or tf.data, or any sequence or iterable of items.
        options: how.

    Raises:
        ValueError: its items are no pairs of image and label, or it is larger than the bound.
    """
    if isinstance(getattr(dataset, "column_names", None), list) and hasattr(dataset, "features"):
        if hasattr(dataset, "__len__"):
            return _hugging_face(dataset, options)
    elif hasattr(dataset, "__getitem__") and hasattr(dataset, "__len__"):
        return _by_number(dataset, options)
    if hasattr(dataset, "as_numpy_iterator"):
        return _materialised(dataset.as_numpy_iterator(), options, _names_of(dataset))
    if isinstance(dataset, Iterable):
        return _materialised(dataset, options, _names_of(dataset))
    raise ValueError(
        "a dataset must give its items by number, or be gone through. "
        f"Received: dataset of the type {type(dataset).__name__}"
    )


def splits_of(dataset: Any) -> dict[str, Any] | None:
    """The parts of a dictionary of datasets; None of a single one.

    Raises:
        ValueError: a key is no part, two are the same, or there is none to train on.
    """
    if not isinstance(dataset, Mapping):
        return None
    found: dict[str, Any] = {}
    for key, part in dataset.items():
        split = split_of(str(key))
        if split is None or split in found:
            raise ValueError(
                "a dictionary of datasets has the parts train, validation and test. "
                f"Received: dataset with the keys {', '.join(map(str, dataset))}"
            )
        found[split] = part
    if "train" not in found:
        raise ValueError(
            "a dictionary of datasets must have a part to train on. "
            f"Received: dataset with the keys {', '.join(map(str, dataset))}"
        )
    return found


def _hugging_face(dataset: Any, options: Options) -> Part:
    """A dataset of Hugging Face: its table of labels is read, and files are decoded by us."""
    features = dict(dataset.features)
    image = options.image or _column(features, "image", lambda kind: type(kind).__name__ == "Image")
    label = options.label or _column(
        features, "label", lambda kind: type(kind).__name__ == "ClassLabel"
    )
    for name in (image, label):
        if name not in features:
            raise ValueError(
                f"the dataset has no column {name!r}; it has {', '.join(features)}. "
                f"Received: column={name!r}"
            )
    labels = dataset.with_format(None)[label][:]
    dataset = dataset.with_format(None)
    if type(features[image]).__name__ == "Image":
        dataset = dataset.cast_column(image, type(features[image])(decode=False))
    names = getattr(features[label], "names", None)

    def item(row: int) -> Any:
        return dataset[row][image]

    return Part(_store(item, len(labels), options), list(labels), names and tuple(names))


def _column(features: Mapping[str, Any], role: str, is_it: Callable[[Any], bool]) -> str:
    """The column of a role: the only one of its kind, or one that is usually called so."""
    kinds = [name for name, kind in features.items() if is_it(kind)]
    spellings = (*SPELLINGS["path"], "img") if role == "image" else SPELLINGS["label"]
    usual = [name for name in spellings if name in features]
    if len(kinds) == 1:
        return kinds[0]
    if usual:
        return usual[0]
    raise ValueError(
        f"no column is known to be the {role}: name it, as in {role}='...'. "
        f"Received: dataset with the columns {', '.join(features)}"
    )


def _by_number(dataset: Any, options: Options) -> Part:
    """A dataset that gives any item by its number, as torch's and grain's do."""
    length = len(dataset)
    if not length:
        raise ValueError("the dataset is empty. Received: dataset of length 0")
    known = _known_labels(dataset, length)
    # Without a list of them, every item has to be made once for its label.
    labels = known or [_pair(dataset[row], row, options)[1] for row in range(length)]
    note = "" if known else f"all {length} items were made once, for their labels"

    def item(row: int) -> Any:
        return _pair(dataset[row], row, options)[0]

    return Part(_store(item, length, options), labels, _names_of(dataset), note)


def _known_labels(dataset: Any, length: int) -> list[Any] | None:
    """The list of labels that torchvision's datasets have, through subsets of them."""
    if hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        below = _known_labels(dataset.dataset, len(dataset.dataset))
        return below and [below[row] for row in dataset.indices]
    for name in ("targets", "labels", "_labels"):
        labels = getattr(dataset, name, None)
        # A target transform changes what the list says.
        if getattr(dataset, "target_transform", None) is not None or callable(labels):
            continue
        if labels is not None and len(labels) == length:
            found: list[Any] = np.asarray(labels).tolist()
            return found
    return None


def _names_of(dataset: Any) -> tuple[str, ...] | None:
    names = getattr(dataset, "classes", None)
    if names is None and hasattr(dataset, "dataset"):
        names = getattr(dataset.dataset, "classes", None)
    if names is None or isinstance(names, str) or not isinstance(names, Sequence):
        return None
    return tuple(str(name) for name in names)


def _pair(item: Any, row: int, options: Options) -> tuple[Any, Any]:
    """Image and label of an item."""
    if isinstance(item, Mapping):
        image = options.image or next((k for k in SPELLINGS["path"] if k in item), "image")
        label = options.label or next((k for k in SPELLINGS["label"] if k in item), "label")
        if image in item and label in item:
            return item[image], item[label]
        raise ValueError(
            f"an item must have an image and a label; it has {', '.join(map(str, item))}: name "
            f"them, as in image='...', label='...'. Received: item {row}"
        )
    image, label = options.image or 0, options.label or 1
    numbered = isinstance(image, int) and isinstance(label, int)
    if numbered and isinstance(item, tuple | list) and len(item) > max(int(image), int(label)):
        return item[int(image)], item[int(label)]
    raise ValueError(
        "an item must be a pair of image and label, or a dictionary with both. "
        f"Received: item {row} of the type {type(item).__name__}"
    )


def _store(item: Callable[[int], Any], length: int, options: Options) -> DatasetImages:
    size = options.size
    if size == "auto":
        rows = np.unique(np.linspace(0, length - 1, min(length, _SAMPLED)).astype(int))
        size = of_sides([_side(item(row), row, options) for row in rows.tolist()])
    return DatasetImages(item, length, size=size, channels=options.channels, scale=options.scale)


def _side(given: Any, row: int, options: Options) -> int:
    file = encoded(given)
    return side_of(file) if file is not None else min(as_image(given, options.scale, row).size)


def _items(dataset: Iterable[Any], options: Options) -> Iterator[tuple[Any, Any]]:
    """Images and labels, one by one; batches are taken apart."""
    for row, item in enumerate(dataset):
        image, label = _pair(item, row, options)
        if getattr(image, "ndim", 3) == 4:
            yield from zip(image, np.asarray(label), strict=True)
        else:
            yield image, label


def _materialised(dataset: Iterable[Any], options: Options, names: tuple[str, ...] | None) -> Part:
    """All images in memory, of a dataset that can only be gone through."""
    images: list[NDArray[np.uint8]] = []
    labels: list[Any] = []
    store: DatasetImages | None = None
    for row, (image, label) in enumerate(_items(dataset, options)):
        if store is None:
            size = (
                of_sides([_side(image, row, options)]) if options.size == "auto" else options.size
            )
            store = DatasetImages(
                lambda _: None, 1, size=size, channels=options.channels, scale=options.scale
            )
        images.append(store.shown(image, row))
        labels.append(np.asarray(label).item() if np.ndim(label) == 0 else np.asarray(label))
        if len(images) * images[0].nbytes > options.max_bytes:
            raise ValueError(
                f"the dataset gives no item by its number, so that it is read into memory, and "
                f"{len(images):,} images are more than max_bytes={options.max_bytes:,}: give a "
                "smaller size, a larger bound, or a dataset with random access. "
                f"Received: max_bytes={options.max_bytes}"
            )
    if not images:
        raise ValueError("the dataset is empty. Received: dataset without an item")
    note = f"{len(images):,} images were read into memory, {len(images) * images[0].nbytes:,} bytes"
    return Part(np.stack(images), labels, names, note)
