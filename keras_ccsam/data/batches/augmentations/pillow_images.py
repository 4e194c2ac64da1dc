"""A batch of arrays as Pillow's images, one after the other.

Pillow's operations are the ones that the published policies were found with. They leave Python's
lock, so that a sequence with several `workers` augments several batches at a time.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from keras_ccsam.data.images.store import Pixels


def each(x: Pixels, change: Callable[[int, Image.Image], Image.Image]) -> Pixels:
    """A batch of images that were changed one by one.

    Args:
        x: (B, H, W, 1) or (B, H, W, 3), uint8.
        change: takes an image's place in the batch and the image, and returns one of the same size.
    """
    out = np.empty_like(x)
    for row, pixels in enumerate(x):
        grey = pixels.shape[-1] == 1
        changed = change(row, Image.fromarray(pixels[..., 0] if grey else pixels))
        out[row] = np.asarray(changed).reshape(pixels.shape)
    return out


def check_pixels(name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuses images that Pillow's operations do not take.

    Args:
        name: of the augmentation.
        shape: (H, W, C) of an image.
        dtype: of its pixels.

    Raises:
        ValueError: unless they are uint8, grey or RGB.
    """
    if dtype != np.uint8 or shape[-1] not in (1, 3):
        raise ValueError(
            f"The augmentation {name!r} takes uint8 images in 0..255 with 1 (grey) or 3 (RGB) "
            f"channels. Received: images of shape {shape} and type {dtype}"
        )
