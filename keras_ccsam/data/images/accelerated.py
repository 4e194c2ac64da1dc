"""Quicker ways to the same pixels, where the extra `fast` is installed.

    simplejpeg   decodes a JPEG at its own size: libjpeg-turbo, as Pillow's, with less around it
    OpenCV       enlarges by bilinear interpolation

A photograph's pixels are the same by either decoder. An enlarged one differs by 1 of 255 at most,
as OpenCV rounds once and Pillow twice. Whatever shrinks is left to Pillow, which antialiases.
"""

import functools
import importlib
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from keras_ccsam.data.images.decode import orientation


def decoded(
    image: Image.Image, at_least: tuple[int, int], channels: int
) -> NDArray[np.uint8] | None:
    """The pixels (h, w, 3) of a JPEG of which the header was read; None where Pillow is to do it.

    Args:
        image: as `decode.opened` gives it.
        at_least: (height, width): where half the size would do, Pillow decodes at reduced scale.
        channels: of the result.

    Raises:
        ValueError: for a broken or truncated file.
    """
    library = module("simplejpeg")
    if library is None or image.format != "JPEG" or image.mode != "RGB" or channels != 3:
        return None
    if min(image.height / at_least[0], image.width / at_least[1]) >= 2 or orientation(image) != 1:
        return None
    file = getattr(image, "fp", None)
    if file is None:
        return None
    file.seek(0)
    found: NDArray[np.uint8] = library.decode_jpeg(file.read(), "RGB")
    return found


def enlarged(pixels: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8] | None:
    """uint8 pixels (h, w, 3) in another size; None where they would shrink, or OpenCV is absent."""
    library = module("cv2")
    if library is None or pixels.shape[0] > size[0] or pixels.shape[1] > size[1]:
        return None
    found: NDArray[np.uint8] = library.resize(
        pixels, (size[1], size[0]), interpolation=library.INTER_LINEAR
    )
    return found


@functools.cache
def module(name: str) -> ModuleType | None:
    """A module of the extra, imported when it is first wanted; None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None
