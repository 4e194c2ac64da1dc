"""What the sources of image files share: their options, and the way from a listing to a source."""

import os
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from keras_ccsam.data.images.files import ImageFiles
from keras_ccsam.data.images.packed_images import PackedImages
from keras_ccsam.data.images.store import ImageStore
from keras_ccsam.data.sources.image_size import fitting_size
from keras_ccsam.data.sources.listing import (
    Listing,
    Rows,
    check_files,
    check_labels_there,
    check_repeated,
)
from keras_ccsam.data.sources.skipping import readable
from keras_ccsam.data.sources.source import Source
from keras_ccsam.data.tails.grouped import grouped_split
from keras_ccsam.data.tails.subset import stratified_split
from keras_ccsam.data.tails.tail import check_option

_TEST_STREAM = 1

Pixels: TypeAlias = Annotated[int, Field(ge=4, le=4096)]
Size: TypeAlias = Annotated[
    Pixels | Literal["auto"],
    Field(
        description='height and width of what the network is given, in pixels; "auto": what most '
        "images have, at most 224"
    ),
]
Channels: TypeAlias = Annotated[
    Literal[1, 3], Field(description="3: colour; 1: grey, colours are weighted into one")
]
TestFraction: TypeAlias = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="share of each class held out as test set where the source has none",
    ),
]
Root: TypeAlias = Annotated[
    str, Field(description="folder that the images' paths are below; empty: found beside the file")
]
Packed: TypeAlias = Annotated[
    str,
    Field(description="folder that `ccsam data pack` made of the set; empty: files are decoded"),
]


OnError: TypeAlias = Annotated[
    Literal["raise", "skip"],
    Field(
        description="images that cannot be read: an error when one is met, or left out beforehand, "
        "which reads every file once"
    ),
]


def given(path: str | os.PathLike[str] | None) -> Path:
    """The path of a source that cannot do without one.

    Raises:
        ValueError: none was given.
    """
    if path is None or not os.fspath(path).strip():
        raise ValueError(
            "this source needs a path: take --data PATH, or --data-path (in a recipe data.path). "
            "Received: path=None"
        )
    return Path(path).expanduser()


def as_source(
    listing: Listing,
    size: int | Literal["auto"],
    channels: Literal[1, 3],
    test_fraction: float,
    seed: int,
    resize: int | None = None,
    packed: str = "",
    on_error: Literal["raise", "skip"] = "raise",
) -> Source:
    """Images that are read when they are asked for, of a listing.

    Args:
        listing: whose images exist.
        size: of the images, height and width.
        channels: 1 or 3.
        test_fraction: of each class, held out where the listing has no test part.
        seed: of that.
        packed: the folder of a pack that holds the images; empty: the files are decoded.
        on_error: `"skip"` leaves out the images that cannot be read, before they are counted.
        resize: pixels of the shorter side before the centre is cut out, to evaluate; None keeps as
            much of an image as there is in the square.

    Raises:
        ValueError: files are missing, a class has no image to train on, or no class has one to
            test on.
    """
    listing, skipped = readable(listing) if on_error == "skip" else (listing, ())
    check_labels_there(listing.train.labels, listing.class_names, listing.origin)
    notes = [*listing.notes, *check_repeated(listing.parts())]
    check_files(listing)
    train, test = listing.train, listing.test
    positions = np.arange(len(train), dtype=np.int64)
    if test is None and test_fraction:
        train, test, positions = _hold_out(listing, test_fraction, seed, notes)
    pixels = fitting_size(listing) if size == "auto" else int(size)

    def images(rows: Rows) -> ImageStore:
        paths, root = rows.paths, listing.root
        files = ImageFiles(paths, root=root, size=pixels, channels=channels, resize=resize)
        return PackedImages.of(files, packed) if packed else files

    validation = listing.validation
    return Source(
        name=listing.name,
        x_train=images(train),
        y_train=train.labels,
        x_validation=None if validation is None else images(validation),
        y_validation=None if validation is None else validation.labels,
        x_test=None if test is None else images(test),
        y_test=None if test is None else test.labels,
        class_names=listing.class_names,
        positions=positions,
        groups=train.groups,
        weights=train.weights,
        origin=listing.origin,
        licence=listing.licence,
        notes=tuple(notes),
        skipped=skipped,
    )


def _hold_out(
    listing: Listing, fraction: float, seed: int, notes: list[str]
) -> tuple[Rows, Rows, np.ndarray]:
    rows = listing.train
    check_option("validation_fraction", fraction, "test_fraction")
    if rows.groups is None:
        kept, held = stratified_split(rows.labels, fraction, seed, _TEST_STREAM)
    else:
        kept, held = grouped_split(rows.labels, rows.groups, fraction, seed, _TEST_STREAM)
    if not len(held):
        raise ValueError(
            "no image can be held out to test on: every class has a single one (or all are of one "
            f"group). Received: {listing.origin}"
        )
    without = len(listing.class_names) - len(np.unique(rows.labels[held]))
    having = "1 class has" if without == 1 else f"{without} classes have"
    want = "images" if rows.groups is None else "groups"
    lack = f"; {having} none, for want of {want}" if without else ""
    whole = ", whole groups" if rows.groups is not None else ""
    notes.append(
        f"there is no test part: {len(held)} of {len(rows)} images are held out for it "
        f"(test_fraction {fraction:g}{whole}){lack}"
    )
    return rows.take(kept), rows.take(held), kept
