"""How images of any size become (H, W, C).

Whatever is shown of an image is a box in it, resized to the size that the network wants. The box
is chosen before anything is decoded: a JPEG from which a large box is taken is decoded at 1/2, 1/4
or 1/8 of its size, as far as no pixel of the result would have to be made up for it.

For evaluation the shorter side is resized and the centre cut out, in one step: the box is what
the centre was before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_ccsam.data.images import accelerated, decode
from keras_ccsam.data.images.store import Box, Pixels, View

FILTER = Image.Resampling.BILINEAR
"""Antialiased where it shrinks, as torchvision's on Pillow images."""


@dataclass(frozen=True)
class Centre:
    """Resizes the shorter side and cuts the centre out.

    Attributes:
        size: (height, width) of the result.
        resize: pixels of the resized shorter side; the larger of the two sizes, or more. Without
            one, as few as will do: the largest centred box of the result's proportions.
    """

    size: tuple[int, int]
    resize: int | None = None

    def box(self, width: int, height: int) -> Box:
        """The part of an image that will be the centre."""
        rows, columns = self.size
        scale = max(columns / width, rows / height)
        if self.resize is not None:
            scale = max(scale, self.resize / min(width, height))
        wide, high = min(columns / scale, width), min(rows / scale, height)
        left, top = (width - wide) / 2, (height - high) / 2
        return left, top, left + wide, top + high


def seen(file: decode.File, view: View, size: tuple[int, int], channels: int) -> NDArray[np.uint8]:
    """What a view shows of an image file.

    Args:
        file: a path, the file's bytes, or an open binary file.
        view: which part of the upright image.
        size: (H, W) of the result.
        channels: 3 or 1.

    Returns:
        (H, W, channels), uint8.

    Raises:
        UnreadableImage: see `decode.decode`.
    """
    with decode.opened(file, channels) as image:
        width, height = decode.upright_size(image)
        left, top, right, bottom = box = view.box(width, height)
        rows, columns = size
        # So large that the box, in what is decoded, still has as many pixels as the result.
        enough = (
            int(np.ceil(height * rows / (bottom - top))),
            int(np.ceil(width * columns / (right - left))),
        )
        pixels = accelerated.decoded(image, enough, channels)
        if pixels is not None:
            return cut(pixels, size, box)
        decode.reduce(image, enough, channels)
        whole = decode.as_mode(decode.upright(image), channels)
        across, down = whole.width / width, whole.height / height
        if across == down == 1:
            return _shown(whole, size, box)
        return _shown(whole, size, (left * across, top * down, right * across, bottom * down))


def cut(pixels: NDArray[np.uint8], size: tuple[int, int], box: Box) -> NDArray[np.uint8]:
    """The box of pixels (h, w, 3) in another size."""
    left, top, right, bottom = (int(side) for side in box)
    if box == (left, top, right, bottom):
        part = pixels[top:bottom, left:right]
        if part.shape[:2] == size:
            return part
        found = accelerated.enlarged(part, size)
        if found is not None:
            return found
    return _shown(Image.fromarray(pixels), size, box)


def _shown(image: Image.Image, size: tuple[int, int], box: Box) -> NDArray[np.uint8]:
    """The box of an image in another size, as an array."""
    left, top, right, bottom = (int(side) for side in box)
    whole = box == (left, top, right, bottom)
    if whole and image.mode == "RGB" and right - left <= size[1] and bottom - top <= size[0]:
        part = image if box == (0, 0, *image.size) else image.crop((left, top, right, bottom))
        if part.size == (size[1], size[0]):
            return _pixels(part)
        if (found := accelerated.enlarged(np.asarray(part), size)) is not None:
            return found
    return _pixels(resized(image, size, box))


def resized(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    """The box of an image in another size; the same pixels where nothing changes."""
    rows, columns = size
    left, top, right, bottom = box
    if all(side == int(side) for side in box):
        # Cut first: what lies around the box has no part in it, as torchvision has it.
        part = image.crop((int(left), int(top), int(right), int(bottom)))
        return part if part.size == (columns, rows) else part.resize((columns, rows), FILTER)
    # Rounding must not push a box over the edge, which Pillow refuses.
    box = (max(left, 0.0), max(top, 0.0), min(right, image.width), min(bottom, image.height))
    return image.resize((columns, rows), FILTER, box)


def reframed(x: Pixels, views: Sequence[View], size: tuple[int, int] | None = None) -> Pixels:
    """What views show of images that are in memory already.

    Args:
        x: (B, H, W, C), uint8 or floats.
        views: one per image.
        size: (height, width) of the results; the images' own without one.
    """
    height, width, channels = x.shape[1:]
    size = size or (height, width)
    found = np.empty((len(x), *size, channels), x.dtype)
    for i, (image, view) in enumerate(zip(x, views, strict=True)):
        box = view.box(width, height)
        if x.dtype == np.uint8 and channels == 3:
            found[i] = cut(image, size, box)
            continue
        for c in range(channels):
            plane = np.ascontiguousarray(image[..., c])
            plane = plane if x.dtype == np.uint8 else plane.astype(np.float32)
            found[i, ..., c] = np.asarray(resized(Image.fromarray(plane), size, box))
    return found


def _pixels(image: Image.Image) -> NDArray[np.uint8]:
    found = np.asarray(image)
    return found[..., np.newaxis] if found.ndim == 2 else found
