"""`DatasetImages`: a dataset of somebody else's, item by item, as uint8 images of one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_ccsam.data.images import decode
from keras_ccsam.data.images.files import checked_size
from keras_ccsam.data.images.store import ImageStore, Rows, View, row_numbers
from keras_ccsam.data.images.view import Centre, resized, seen


class DatasetImages(ImageStore):
    """Images that a function gives one by one, such as those of a torch dataset.

    Args:
        image: of a whole number, an image as `as_image` takes it, or a path or an encoded file.
        length: how many there are.
        size: pixels of the square that the network sees, or (height, width).
        channels: 3 for RGB, 1 for grey.
        scale: what pixels are multiplied by: 255 for floats in 0..1.
    """

    decodes = True

    def __init__(
        self,
        image: Callable[[int], Any],
        length: int,
        *,
        size: int | tuple[int, int],
        channels: int = 3,
        scale: float = 1.0,
    ) -> None:
        self.size, self.channels, self.scale = checked_size(size), channels, scale
        self._image = image
        self._rows = np.arange(length, dtype=np.int64)
        self._centre = Centre(self.size)

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C)."""
        return (len(self._rows), *self.size, self.channels)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8."""
        return np.dtype(np.uint8)

    def read(self, rows: Rows, views: Sequence[View] | None = None) -> NDArray[np.uint8]:
        """The images of these rows, asked for now.

        Raises:
            ValueError: names the item that is no image.
        """
        found = np.empty((len(rows), *self.size, self.channels), np.uint8)
        for i, row in enumerate(self._rows[rows].tolist()):
            view: View = self._centre if views is None else views[i]
            found[i] = self.shown(self._image(row), row, view)
        return found

    def shown(self, given: Any, row: int, view: View | None = None) -> NDArray[np.uint8]:
        """An image in the store's size.

        Args:
            given: an image, a path or an encoded file.
            row: of the dataset, for the message.
            view: which part of it; without one, the view for evaluation.

        Raises:
            ValueError: it is none.
        """
        view = self._centre if view is None else view
        file = encoded(given)
        if file is not None:
            return seen(file, view, self.size, self.channels)
        image = as_image(given, self.scale, row)
        whole = decode.as_mode(decode.upright(image), self.channels)
        pixels = np.asarray(resized(whole, self.size, view.box(*whole.size)))
        return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels

    def take(self, rows: Any) -> DatasetImages:
        """The store of these rows alone."""
        part: DatasetImages = object.__new__(type(self))
        vars(part).update(vars(self))
        part._rows = self._rows[row_numbers(rows, len(self))]
        return part


def encoded(given: Any) -> decode.File | None:
    """The file of an image that is not decoded yet; None of pixels."""
    if isinstance(given, Mapping) and ("bytes" in given or "path" in given):
        content, path = given.get("bytes"), given.get("path")
        return content if content is not None else path
    return given if isinstance(given, str | bytes) else None


def as_image(given: Any, scale: float, row: int) -> Image.Image:
    """A picture of Pillow, of one or of pixels.

    Args:
        given: a picture; or pixels (H, W), (H, W, C) or (C, H, W), whole numbers in 0..255, or
            floats that become such when they are multiplied by `scale`.
        scale: see there.
        row: for the message.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(given, Image.Image):
        return given
    try:
        pixels = np.asarray(given)
    except Exception:  # of a tensor on a device, or rows of different lengths
        pixels = np.asarray(None)
    if pixels.dtype.kind not in "iuf" or pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ValueError(
            "an image must be pixels (height, width, channels), a picture of Pillow, or a file. "
            f"Received: item {row} of the type {type(given).__name__}, shape {pixels.shape}"
        )
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3, 4) and pixels.shape[0] in (1, 3, 4):
        pixels = np.moveaxis(pixels, 0, -1)
    if pixels.ndim == 3 and pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(
            "an image must have 1, 3 or 4 channels, first or last. "
            f"Received: item {row} of the shape {pixels.shape}"
        )
    return Image.fromarray(
        _bytes(pixels[..., 0] if pixels.shape[2:] == (1,) else pixels, scale, row)
    )


def _bytes(pixels: NDArray[Any], scale: float, row: int) -> NDArray[np.uint8]:
    """Pixels as whole numbers in 0..255."""
    if pixels.dtype == np.uint8 and scale == 1:
        return np.ascontiguousarray(pixels)
    values = pixels.astype(np.float64) * scale
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255.5):
        raise ValueError(
            "pixels must lie in 0..255: hand the dataset over without its normalisation, or say "
            f"scale=255 for floats in 0..1. Received: item {row} with values from {low:g} to "
            f"{high:g}"
        )
    if pixels.dtype.kind == "f" and scale == 1 and high <= 1 and (values != np.rint(values)).any():
        raise ValueError(
            "pixels must lie in 0..255, and these floats lie in 0..1: say scale=255. "
            f"Received: item {row} with values from {low:g} to {high:g}"
        )
    return np.rint(values).clip(0, 255).astype(np.uint8)
