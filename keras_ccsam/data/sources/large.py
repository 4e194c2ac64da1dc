"""ImageNet-LT, Places-LT and iNaturalist 2018: published lists, and images that users have.

    <path>/ImageNet_LT_{train,val,test}.txt     and ImageNet's folders train and val
    <path>/Places_LT_{train,val,test}.txt       and train and val, or data_256 and val_256
    <path>/{train,val}2018.json                 and train_val2018
    or iNaturalist18_{train,val}.txt

The lists may lie in a folder below the path, such as `ImageNet_LT`. Nothing is downloaded.
"""

import dataclasses
import math
import os
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import Field

from keras_ccsam.data.sources import image_list, inat
from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.image_list import placed
from keras_ccsam.data.sources.recognise import entries, kind_of_file, split_of_file
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part

# The shorter side before the centre is cut out, over the size: 256 for 224 (field).
_RESIZE = 256 / 224

Pixels: TypeAlias = Annotated[
    int, Field(ge=4, le=4096, description="height and width of what the network is given")
]
_LICENCES = {
    "imagenet-lt": "ImageNet's terms, for research. Z. Liu et al., Large-Scale Long-Tailed "
    "Recognition in an Open World, 2019; O. Russakovsky et al., 2015.",
    "places-lt": "Places' terms, for research. Z. Liu et al., Large-Scale Long-Tailed Recognition "
    "in an Open World, 2019; B. Zhou et al., 2017.",
    "inat2018": inat.LICENCE,
}


@part("data", "imagenet-lt")
def load_imagenet(
    path: str | os.PathLike[str] | None = None,
    root: own.Root = "",
    size: Pixels = 224,
    packed: own.Packed = "",
) -> Source:
    """ImageNet-LT: 115,846 images in 1,000 classes, 1,280 to 5 per class; your own files.

    Args:
        path: the folder of the lists, with the images in it or above it.
        root: the folder of the images, where they are elsewhere.
        size: of the images, in pixels.
        packed: the folder of their packed form; empty: the files are decoded.

    Raises:
        ValueError: a list or images are not there; the message names what is missing.
    """
    return _load("imagenet-lt", "ImageNet_LT_train.txt", own.given(path), root, size, packed)


@part("data", "places-lt")
def load_places(
    path: str | os.PathLike[str] | None = None,
    root: own.Root = "",
    size: Pixels = 224,
    packed: own.Packed = "",
) -> Source:
    """Places-LT: 62,500 images in 365 classes, 4,980 to 5 per class; your own files.

    Args:
        path, root, size, packed: as in `load_imagenet`.

    Raises:
        ValueError: as `load_imagenet`.
    """
    return _load("places-lt", "Places_LT_train.txt", own.given(path), root, size, packed)


@part("data", "inat2018")
def load_inat2018(
    path: str | os.PathLike[str] | None = None,
    root: own.Root = "",
    size: Pixels = 224,
    packed: own.Packed = "",
) -> Source:
    """iNaturalist 2018: 437,513 images in 8,142 classes, 1,000 to 2 per class; your own files.

    It is tested on its validation images: the labels of its test images are not public.

    Args:
        path, root, size, packed: as in `load_imagenet`.

    Raises:
        ValueError: as `load_imagenet`.
    """
    return _load("inat2018", "train2018.json", own.given(path), root, size, packed)


def _load(name: str, expected: str, path: Path, root: str, size: int, packed: str) -> Source:
    file = _training_file(path, expected)
    read = inat.listed if kind_of_file(file.name) == "inat" else image_list.listed
    where = root or (str(path) if path.is_dir() else "")
    listing = placed(read(file), file, where)
    if listing.test is None:
        raise ValueError(
            f"{name} is tested on its own test images, and there is no list of them beside "
            f"{file.name}. Received: path={str(path)!r}"
        )
    listing = dataclasses.replace(listing, name=name, licence=_LICENCES[name])
    resize = math.ceil(size * _RESIZE)
    return own.as_source(listing, size, 3, 0.0, 0, resize=resize, packed=packed)


def _training_file(path: Path, expected: str) -> Path:
    """The training list, in a folder or one below it."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(
            f"there is no such folder; it should hold {expected} and the images. "
            f"Received: path={str(path)!r}"
        )
    folders = [path, *(Path(e.path) for e in entries(path) if e.is_dir())]
    for folder in folders:
        found = [
            entry.name
            for entry in entries(folder)
            if not entry.is_dir()
            and kind_of_file(entry.name) in ("list", "inat")
            and split_of_file(entry.name) == "train"
        ]
        # The published name first; a set may bring its list in several forms.
        found.sort(key=lambda name: (not name.startswith(expected.partition(".")[0]), name))
        if found:
            return folder / found[0]
    raise ValueError(
        f"there is no training list such as {expected} in the folder, nor one folder below it. "
        f"Received: path={str(path)!r}"
    )
