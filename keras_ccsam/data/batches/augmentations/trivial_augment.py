"""TrivialAugment: one operation per image, of a random strength; nothing is tuned.

Müller and Hutter, "TrivialAugment: Tuning-free yet state-of-the-art data augmentation"
(arXiv:2103.10158).
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.batches.augmentations.magnitudes import FOURTEEN, STANDARD, WIDE, value_of
from keras_ccsam.data.batches.augmentations.operations import Canvas, Fill, Interpolation, apply
from keras_ccsam.data.batches.augmentations.pillow_images import check_pixels, each
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.options import checked

_STEPS = 31  # strengths 0/30, 1/30, ..., 30/30


@part("augmentation", "trivial_augment")
@dataclass(frozen=True)
class TrivialAugment(PerImage):
    """Applies one operation of a random strength to each image.

    Its place: after crop and flip, before Cutout or erasing. Images are uint8, grey or RGB; on grey
    ones the operation `color` changes nothing.

    Attributes:
        wide: the paper's wide ranges (TrivialAugmentWide); those of RandAugment otherwise.
        probability: with which an image gets an operation at all.
        interpolation, fill: of the operations that move pixels.
    """

    wide: Annotated[bool, Field(description="the wide ranges (paper: yes)")] = True
    probability: Annotated[
        float, Field(ge=0, le=1, description="of applying the operation (paper: 1)")
    ] = 1.0
    interpolation: Interpolation = "nearest"
    fill: Fill = 128

    def __post_init__(self) -> None:
        checked(TrivialAugment, vars(self))

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses images (H, W, C) that are not uint8, grey or RGB, with a `ValueError`."""
        check_pixels("trivial_augment", shape, dtype)

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """The operation of each image, its strength and sign, and whether it is done."""
        names = rng.integers(len(FOURTEEN), size=count)
        strengths = rng.integers(_STEPS, size=count) / (_STEPS - 1)
        negative = rng.random(count) < 0.5
        return names, strengths, negative, rng.random(count) < self.probability

    def apply(self, x: Pixels, names: Any, strengths: Any, negative: Any, applied: Any) -> Pixels:
        """Returns the images, each after one operation."""
        self.check(x.shape[1:], x.dtype)
        canvas = Canvas(self.interpolation, self.fill)
        ranges = WIDE if self.wide else STANDARD

        def change(row: int, image: Image.Image) -> Image.Image:
            if not applied[row]:
                return image
            name = FOURTEEN[names[row]]
            sign = bool(negative[row])
            value = value_of(name, float(strengths[row]), sign, ranges, image.size)
            return apply(name, image, value, canvas)

        return each(x, change)
