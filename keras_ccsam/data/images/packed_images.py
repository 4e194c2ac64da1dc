"""`PackedImages`: a packed set, opened."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.files import ImageFiles, checked_size
from keras_ccsam.data.images.pack_index import IMAGES, PackIndex, stamp
from keras_ccsam.data.images.store import ImageStore, Rows, View, row_numbers
from keras_ccsam.data.images.view import Centre, reframed, seen


class PackedImages(ImageStore):
    """The images that `pack` wrote, mapped into memory.

    Args:
        folder: of the pack.
        size: of the square that the network sees, or (height, width); the packed one, or of JPEG
            the shorter side's, without one.
        resize: for evaluation; see `ImageFiles`.

    Raises:
        ValueError: no pack, or a size that cannot be.
    """

    decodes = True

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        size: int | tuple[int, int] | None = None,
        resize: int | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.index = index = PackIndex.load(self.folder)
        self.size = checked_size(index.side if size is None else size, resize)
        self.resize = resize
        self._centre = Centre(self.size, resize)
        self._rows = np.arange(len(index.paths), dtype=np.int64)
        self._data: NDArray[np.uint8] = np.memmap(self.folder / IMAGES, np.uint8, "r")
        self._starts = np.concatenate([[0], np.asarray(index.ends[:-1], np.int64)])
        if index.form == "pixels":
            pixels = (len(index.paths), index.side, index.side, index.channels)
            if index.bytes != int(np.prod(pixels)):
                raise ValueError(
                    f"The index speaks of {pixels} pixels, and {IMAGES} has {index.bytes} bytes. "
                    f"Received: folder={str(self.folder)!r}"
                )
            self._data = self._data.reshape(pixels)

    @classmethod
    def of(cls, images: ImageFiles, folder: str | os.PathLike[str]) -> PackedImages:
        """The packed form of some files: the same rows, size and view.

        Args:
            images: of which the pack holds all, and perhaps others.
            folder: of the pack.

        Raises:
            ValueError: a file is not in the pack, or was changed after it was packed.
        """
        found = cls(folder, size=images.size, resize=images.resize)
        if found.index.channels != images.channels:
            raise ValueError(
                f"the images were packed with channels={found.index.channels}. "
                f"Received: channels={images.channels}"
            )
        places = {path: row for row, path in enumerate(found.index.paths)}
        rows = []
        for row, path in enumerate(images.paths):
            place = places.get(path)
            if place is None or found.index.stamps[place] != stamp(images.path(row)):
                what = "is not in the pack" if place is None else "was changed after it was packed"
                raise ValueError(
                    f"{path} {what}; pack the images again, into another folder. "
                    f"Received: folder={str(found.folder)!r}"
                )
            rows.append(place)
        return found.take(rows)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self._rows), *self.size, self.index.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    def names(self) -> list[str]:
        """The paths of the files that were packed."""
        return [self.index.paths[row] for row in self._rows]

    def check(self) -> None:
        """Reads the whole pack and compares its SHA-256.

        Raises:
            ValueError: it was changed.
        """
        found = hashlib.sha256()
        with open(self.folder / IMAGES, "rb") as file:
            while data := file.read(2**20):
                found.update(data)
        if found.hexdigest() != self.index.sha256:
            raise ValueError(
                "The packed images are not those that were packed: the SHA-256 differs. "
                f"Received: folder={str(self.folder)!r}"
            )

    def read(self, rows: Rows, views: Sequence[View] | None = None) -> NDArray[np.uint8]:
        """The images of these rows."""
        places = self._rows[rows]
        index = self.index
        shown = [self._centre] * len(rows) if views is None else views
        if index.form == "pixels":
            x = np.asarray(self._data[places])
            whole = views is None and self.resize is None and self.size == x.shape[1:3]
            return x if whole else reframed(x, shown, self.size)
        found = np.empty((len(rows), *self.size, index.channels), np.uint8)
        for i, (place, view) in enumerate(zip(places.tolist(), shown, strict=True)):
            data = self._data[self._starts[place] : index.ends[place]].tobytes()
            seen(data, view, self.size, index.channels, found[i])
        return found

    def take(self, rows: Any) -> PackedImages:
        """The store of these rows alone."""
        part: PackedImages = object.__new__(type(self))
        vars(part).update(vars(self))
        part._rows = self._rows[row_numbers(rows, len(self))]
        return part

    def __repr__(self) -> str:
        return f"PackedImages({len(self)} images, {self.folder.name!r}, shape={self.shape[1:]})"
