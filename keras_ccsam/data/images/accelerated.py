"""Quicker ways to the same pixels, where the extras `fast` and `crops` are installed.

    TurboJPEG 3    (`crops`) decodes no more of a JPEG than what is shown of it
    simplejpeg     decodes a JPEG at its own size, where TurboJPEG 3 is not there
    OpenCV         enlarges by bilinear interpolation, and mirrors
    cykooz-resizer shrinks as Pillow does, antialiased, with the processor's vector instructions

Decoded pixels are the same by each of them and by Pillow: all are libjpeg-turbo. Resized ones
differ by 1 of 255 at most, as each rounds in its own way.
"""

import functools
import importlib
import math
import threading
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_ccsam.data.images.store import Box

FILTER = Image.Resampling.BILINEAR
"""Antialiased where it shrinks, as torchvision's on Pillow images."""

_LARGE = 4096
"""Pixels of an image from which on it is mirrored alone, and not with the batch."""
_here = threading.local()


def fitted(pixels: NDArray[np.uint8], box: Box, out: NDArray[np.uint8]) -> None:
    """Writes a box of an image in another size.

    Args:
        pixels: (h, w, 3); rows may lie apart.
        box: in pixels; where it is of whole ones, what lies around it has no part in the result.
        out: (H, W, 3), whole in memory.
    """
    rows, columns = out.shape[:2]
    left, top, right, bottom = around(box, pixels.shape[:2], (rows, columns))
    part = pixels[top:bottom, left:right]
    if box == (left, top, right, bottom):
        if part.shape == out.shape:
            out[...] = part
            return
        library = module("cv2")
        if library and part.shape[0] <= rows and part.shape[1] <= columns:
            size = (columns, rows)
            found = library.resize(part, size, dst=out, interpolation=library.INTER_LINEAR)
            if found is not out:
                out[...] = found
            return
    # Rounding must not push a box over the edge, which is refused.
    high, wide = part.shape[:2]
    box = (
        *(max(box[0] - left, 0.0), max(box[1] - top, 0.0)),
        *(min(box[2] - left, wide), min(box[3] - top, high)),
    )
    library = module("cykooz_resizer")
    if library is None:
        out[...] = np.asarray(Image.fromarray(part).resize((columns, rows), FILTER, box))
        return
    kind = library.PixelType.U8x3
    resizer, options = _resizer(library)
    options.crop_box = library.CropBox(box[0], box[1], box[2] - box[0], box[3] - box[1])
    result = library.ImageData(columns, rows, kind)
    resizer.resize(library.ImageData(wide, high, kind, part.tobytes()), result, options)
    out[...] = np.frombuffer(result.get_buffer(), np.uint8).reshape(out.shape)


def around(box: Box, size: tuple[int, int], result: tuple[int, int]) -> tuple[int, int, int, int]:
    """The pixels that a box is resized from: those beside it, too, where it cuts any.

    Args:
        box: in pixels.
        size: (height, width) of the image.
        result: (H, W) of the box once resized.

    Returns:
        Left, top, right and bottom.
    """
    left, top, right, bottom = box
    if left == int(left) and top == int(top) and right == int(right) and bottom == int(bottom):
        return int(left), int(top), int(right), int(bottom)
    x = math.ceil(max(1.0, (right - left) / result[1])) + 1
    y = math.ceil(max(1.0, (bottom - top) / result[0])) + 1
    return (
        max(0, math.floor(left) - x),
        max(0, math.floor(top) - y),
        min(size[1], math.ceil(right) + x),
        min(size[0], math.ceil(bottom) + y),
    )


def mirror(x: NDArray[Any], which: NDArray[np.bool_]) -> None:
    """Mirrors some images of a batch (B, H, W, C) left to right, where they lie."""
    library = module("cv2") if x.shape[1] * x.shape[2] >= _LARGE else None
    if library and x.dtype in (np.uint8, np.float32) and x.shape[3] == 3 and x.flags.c_contiguous:
        for row in np.flatnonzero(which).tolist():
            library.flip(x[row], 1, dst=x[row])
    else:
        x[which] = x[which, :, ::-1]


def _resizer(library: ModuleType) -> tuple[Any, Any]:
    """This thread's resizer and options."""
    found: tuple[Any, Any] | None = getattr(_here, "resizer", None)
    if found is None:
        linear = library.ResizeAlg.convolution(library.FilterType.bilinear)
        options = library.ResizeOptions(resize_alg=linear, use_alpha=False)
        found = _here.resizer = (library.Resizer(), options)
    return found


@functools.cache
def module(name: str) -> ModuleType | None:
    """A module of the extra, imported when it is first wanted; None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
