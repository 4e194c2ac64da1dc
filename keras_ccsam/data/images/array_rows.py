"""Rows of an array that is not copied, such as a memory-mapped file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ccsam.data.images.store import ImageStore, Pixels, Rows, View, row_numbers
from keras_ccsam.data.images.view import reframed


class ArrayRows(ImageStore):
    """Rows of a larger array that is not copied, such as a memory-mapped file.

    Args:
        array: (M, H, W, C), or what gives the same for lists of ascending rows.
        rows: which ones; all without any.
    """

    def __init__(self, array: Any, rows: Any = None) -> None:
        self._array = array
        everything = slice(None) if rows is None else rows
        self._rows = row_numbers(everything, len(array))

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self._rows), *self._array.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return np.dtype(self._array.dtype)

    def read(self, rows: Rows, views: Sequence[View] | None = None) -> Pixels:
        """The images, copied; a view is cut from the stored pixels."""
        x = np.asarray(self._array[self._rows[rows]])
        return x if views is None else reframed(x, views)

    def take(self, rows: Any) -> ArrayRows:
        """The store of these rows alone."""
        return ArrayRows(self._array, self._rows[row_numbers(rows, len(self))])
