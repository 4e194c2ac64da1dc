"""How images of any size become (H, W, C).

Whatever is shown of an image is a box in it, resized to the size that the network wants. The box
is chosen before anything is decoded: a JPEG from which a large box is taken is decoded at 1/2, 1/4
or 1/8 of its size, as far as no pixel of the result would have to be made up for it.

For evaluation the shorter side is resized and the centre cut out, in one step: the box is what
the centre was before. Where the shorter side is right already, whole pixels are cut out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_ccsam.data.images import accelerated, decode, jpeg_parts
from keras_ccsam.data.images.accelerated import FILTER
from keras_ccsam.data.images.store import Box, Pixels, View

_READ = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
_SMALL = 2**20
"""Bytes of a file that is read before it is known to be a JPEG."""


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
        if scale == 1:  # nothing is resized: whole pixels stay what they are
            across, down = (width - columns) // 2, (height - rows) // 2
            return float(across), float(down), float(across + columns), float(down + rows)
        wide, high = min(columns / scale, width), min(rows / scale, height)
        left, top = (width - wide) / 2, (height - high) / 2
        return left, top, left + wide, top + high


def seen(
    file: decode.File,
    view: View,
    size: tuple[int, int],
    channels: int,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """What a view shows of an image file.

    Args:
        file: a path, the file's bytes, or an open binary file.
        view: which part of the upright image.
        size: (H, W) of the result.
        channels: 3 or 1.
        out: (H, W, channels) to write it to; a new array without one.

    Returns:
        (H, W, channels), uint8.

    Raises:
        UnreadableImage: see `decode.decode`.
    """
    if out is None:
        out = np.empty((*size, channels), np.uint8)
    name = decode.name_of(file)
    if channels == 3 and (data := _jpeg(file)) is not None:
        if jpeg_parts.shown(data, view, out):
            return out
        file = data
    with decode.opened(file, channels, name) as image:
        width, height = decode.upright_size(image)
        left, top, right, bottom = box = view.box(width, height)
        rows, columns = size
        # So large that the box, in what is decoded, still has as many pixels as the result.
        enough = (
            int(np.ceil(height * rows / (bottom - top))),
            int(np.ceil(width * columns / (right - left))),
        )
        decode.reduce(image, enough, channels)
        whole = decode.as_mode(decode.upright(image), channels)
        across, down = whole.width / width, whole.height / height
        if not across == down == 1:
            box = (left * across, top * down, right * across, bottom * down)
        if channels == 3:
            accelerated.fitted(np.asarray(whole), box, out)
        else:
            out[..., 0] = np.asarray(resized(whole, size, box))
    return out


def _jpeg(file: decode.File) -> bytes | None:
    """The bytes of a JPEG file; None of another, and where it would be read by Pillow anyway."""
    if isinstance(file, bytes):
        return file if jpeg_parts.is_jpeg(file) else None
    if not isinstance(file, str | os.PathLike):
        return None
    try:
        number = os.open(file, _READ)
    except OSError:  # said by whoever opens it next
        return None
    try:
        size = os.fstat(number).st_size
        data = os.read(number, size if size < _SMALL else 3)
        if not jpeg_parts.is_jpeg(data):
            return None
        while more := os.read(number, max(size - len(data), 1)):
            data += more
        return data
    except OSError:
        return None
    finally:
        os.close(number)


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
            accelerated.fitted(image, box, found[i])
            continue
        for c in range(channels):
            plane = np.ascontiguousarray(image[..., c])
            plane = plane if x.dtype == np.uint8 else plane.astype(np.float32)
            found[i, ..., c] = np.asarray(resized(Image.fromarray(plane), size, box))
    return found
