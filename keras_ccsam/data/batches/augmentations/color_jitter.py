"""Colour jitter: brightness, contrast, saturation and hue of each image, in a random order.

The ImageNet-LT and Places-LT codes (decoupling, MiSLAS, GCL) have 0.4 for the first three and no
hue. Factors are uniform in [max(0, 1 - s), 1 + s], a hue's turn in [-h, h] of the circle.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.batches.augmentations.operations import color
from keras_ccsam.data.batches.augmentations.pillow_images import check_pixels, each
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.options import checked


@part("augmentation", "color_jitter")
@dataclass(frozen=True)
class ColorJitter(PerImage):
    """Changes brightness, contrast, saturation and hue of each image by random factors.

    Its place: after crop and flip, before erasing. Images are uint8, grey or RGB; saturation and
    hue leave grey ones as they are.

    Attributes:
        brightness, contrast, saturation: s, at least 0; 0 leaves it as it is.
        hue: h in [0, 0.5], of the colour circle.
        probability: with which an image is changed.
    """

    brightness: Annotated[
        float, Field(ge=0, description="factor in 1 - s to 1 + s (ImageNet-LT: 0.4)")
    ] = 0.4
    contrast: Annotated[float, Field(ge=0, description="the same (ImageNet-LT: 0.4)")] = 0.4
    saturation: Annotated[float, Field(ge=0, description="the same (ImageNet-LT: 0.4)")] = 0.4
    hue: Annotated[
        float, Field(ge=0, le=0.5, description="turn of the colour circle (ImageNet-LT: 0)")
    ] = 0.0
    probability: Annotated[
        float, Field(ge=0, le=1, description="of changing an image (ImageNet-LT: 1)")
    ] = 1.0

    def __post_init__(self) -> None:
        checked(ColorJitter, vars(self))

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses images (H, W, C) that are not uint8, grey or RGB, with a `ValueError`."""
        check_pixels("color_jitter", shape, dtype)

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """Whether an image is changed, the order of the changes, the factors and the hue's turn."""
        applied = rng.random(count) < self.probability
        order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
        strengths = self._strengths()
        low, high = np.maximum(0, 1 - strengths), 1 + strengths
        factors = rng.uniform(low, high, size=(count, 3))
        return applied, order, factors, rng.uniform(-self.hue, self.hue, size=count)

    def apply(self, x: Pixels, applied: Any, order: Any, factors: Any, turns: Any) -> Pixels:
        """Returns the images, each with its own factors."""
        self.check(x.shape[1:], x.dtype)
        strengths = self._strengths()

        def change(row: int, image: Image.Image) -> Image.Image:
            if not applied[row]:
                return image
            for kind in order[row]:
                if kind == 3:
                    image = turned_hue(image, float(turns[row])) if self.hue else image
                elif strengths[kind]:
                    image = _WAYS[kind](image, float(factors[row, kind]))
            return image

        return each(x, change)

    def _strengths(self) -> NDArray[np.float64]:
        return np.array([self.brightness, self.contrast, self.saturation])


def turned_hue(image: Image.Image, turn: float) -> Image.Image:
    """The image with its colours moved along the circle; a grey one as it is.

    Args:
        image: grey or RGB.
        turn: share of the circle, in [-0.5, 0.5]; Pillow has 256 hues.
    """
    if image.mode == "L":
        return image
    hue, saturation, value = image.convert("HSV").split()
    step = round(turn * 255)
    moved = hue.point([(level + step) % 256 for level in range(256)])
    return Image.merge("HSV", (moved, saturation, value)).convert("RGB")


_WAYS = (
    lambda image, factor: ImageEnhance.Brightness(image).enhance(factor),
    lambda image, factor: ImageEnhance.Contrast(image).enhance(factor),
    color,
)
