"""`ImageStore`: images that look like an array and are read when rows of it are asked for."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[Any]
Rows = NDArray[np.int64]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom in an image's own pixels, from its upper left corner."""


class View(Protocol):
    """Which part of an image is shown; it is then resized to the store's size."""

    def box(self, width: int, height: int) -> Box:
        """The part of an image of this size, upright."""
        ...


class ImageStore(abc.ABC):
    """N images (N, H, W, C) of one size, somewhere that is not this computer's memory.

    `store[rows]` reads. `store.take(rows)` is a smaller store, and reads nothing: what cuts a part
    from a set uses `taken`, which does either.

    Attributes:
        decodes: reading decodes pictures, so that the pixels are known to be bytes in 0..255, red
            first and channels last, before any is read.
    """

    decodes = False

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""

    @property
    @abc.abstractmethod
    def dtype(self) -> np.dtype[Any]:
        """Of the pixels: uint8 in 0..255, or a float type."""

    @abc.abstractmethod
    def read(self, rows: Rows, views: Sequence[View] | None = None) -> Pixels:
        """The images of these rows (B, H, W, C), read now. Called from several threads at once.

        Args:
            rows: whole numbers from 0 to N - 1, in any order, also more than once.
            views: what is shown of each; without any, the view for evaluation.
        """

    @abc.abstractmethod
    def take(self, rows: Any) -> ImageStore:
        """The store of these rows alone: indices, a slice or a mask. Nothing is read."""

    def names(self) -> list[str] | None:
        """What each image is called, by which it is known again; None where they have no names."""
        return None

    def file_sizes(self) -> list[int] | None:
        """Bytes of the file of each image, -1 where there is none; None where they are no files."""
        return None

    def __len__(self) -> int:
        """N."""
        return self.shape[0]

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes that all images would take in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Pixels:
        """All images, read now: what `np.asarray` gives."""
        return np.asarray(self[:], dtype)

    def __getitem__(self, index: Any) -> Pixels:
        """Pixels as an array gives them: of an index (H, W, C), of a slice, a list or a mask."""
        if isinstance(index, int | np.integer):
            return self.read(row_numbers(np.asarray([index]), len(self)))[0]
        return self.read(row_numbers(index, len(self)))


def row_numbers(index: Any, length: int) -> Rows:
    """Row numbers from 0 to length - 1 of what an array may be indexed with.

    Args:
        index: a slice, whole numbers (negative ones count from the end), or a mask (length,).
        length: N.

    Raises:
        IndexError: a row that is not there, or something else than rows.
    """
    if isinstance(index, slice):
        return np.arange(length, dtype=np.int64)[index]
    rows = np.asarray(index)
    if rows.dtype == bool and rows.shape == (length,):
        return np.flatnonzero(rows).astype(np.int64)
    if rows.ndim != 1 or (rows.size and rows.dtype.kind not in "iu"):
        raise IndexError(
            "Images are taken by a slice, whole numbers or a mask of all rows. "
            f"Received: index of shape {rows.shape} and type {rows.dtype}"
        )
    rows = rows.astype(np.int64)
    outside = (rows < -length) | (rows >= length)
    if outside.any():
        raise IndexError(f"There are {length} images. Received: index={rows[outside][0]}")
    return np.where(rows < 0, rows + length, rows)


def taken(images: Any, rows: Any) -> Any:
    """Some of the images: a copy of an array's rows, or a smaller store of which nothing is read.

    Args:
        images: an array, or a store.
        rows: indices, a slice or a mask.
    """
    if isinstance(images, ImageStore):
        return images.take(rows)
    return np.asarray(images)[rows]
