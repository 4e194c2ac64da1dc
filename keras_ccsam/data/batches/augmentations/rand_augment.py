"""RandAugment: a few of fourteen operations, all of one strength.

Cubuk et al., "RandAugment: Practical automated data augmentation with a reduced search space"
(arXiv:1909.13719).
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.batches.augmentations.magnitudes import FOURTEEN, STANDARD, value_of
from keras_ccsam.data.batches.augmentations.operations import Canvas, Fill, Interpolation, apply
from keras_ccsam.data.batches.augmentations.pillow_images import check_pixels, each
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.options import checked

_STRONGEST = 30.0  # the magnitudes of the paper's search: 0 to 30


@part("augmentation", "rand_augment")
@dataclass(frozen=True)
class RandAugment(PerImage):
    """Applies a few operations, drawn for each image, all of one strength.

    Its place: after crop and flip, before Cutout or erasing. Images are uint8, grey or RGB; on grey
    ones the operation `color` changes nothing.

    Attributes:
        operations: N, drawn with replacement from the paper's fourteen.
        magnitude: M of 0..30; see `magnitudes.STANDARD` for what 30 is.
        magnitude_std: standard deviation of M from operation to operation, within 0..30 (timm's).
        probability: with which each drawn operation is applied.
        interpolation, fill: of the operations that move pixels.
    """

    operations: Annotated[int, Field(ge=1, description="per image (paper: N = 2, ImageNet)")] = 2
    magnitude: Annotated[
        float, Field(ge=0, le=30, description="M of all operations (paper: 9, ImageNet)")
    ] = 9.0
    magnitude_std: Annotated[
        float, Field(ge=0, description="spread of M (paper: 0; timm: 0.5)")
    ] = 0.0
    probability: Annotated[
        float, Field(ge=0, le=1, description="of applying a drawn operation (paper: 1)")
    ] = 1.0
    interpolation: Interpolation = "nearest"
    fill: Fill = 128

    def __post_init__(self) -> None:
        checked(RandAugment, vars(self))

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses images (H, W, C) that are not uint8, grey or RGB, with a `ValueError`."""
        check_pixels("rand_augment", shape, dtype)

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """Of each image's operations the name, the sign, whether it is done, the magnitude."""
        size = (count, self.operations)
        names = rng.integers(len(FOURTEEN), size=size)
        negative = rng.random(size) < 0.5
        applied = rng.random(size) < self.probability
        magnitude = np.full(size, self.magnitude)
        if self.magnitude_std:
            magnitude = np.clip(rng.normal(magnitude, self.magnitude_std), 0, _STRONGEST)
        return names, negative, applied, magnitude

    def apply(self, x: Pixels, names: Any, negative: Any, applied: Any, magnitude: Any) -> Pixels:
        """Returns the images, each with its own operations."""
        self.check(x.shape[1:], x.dtype)
        canvas = Canvas(self.interpolation, self.fill)

        def change(row: int, image: Image.Image) -> Image.Image:
            for n in np.flatnonzero(applied[row]):
                name = FOURTEEN[names[row, n]]
                strength = float(magnitude[row, n]) / _STRONGEST
                sign = bool(negative[row, n])
                value = value_of(name, strength, sign, STANDARD, image.size)
                image = apply(name, image, value, canvas)
            return image

        return each(x, change)
