"""AutoAugment: one of 25 learnt pairs of operations per image.

Cubuk et al., "AutoAugment: Learning augmentation strategies from data" (arXiv:1805.09501).
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.batches.augmentations.auto_augment_policies import POLICIES, PolicyName
from keras_ccsam.data.batches.augmentations.magnitudes import STANDARD, value_of
from keras_ccsam.data.batches.augmentations.operations import Canvas, Fill, Interpolation, apply
from keras_ccsam.data.batches.augmentations.pillow_images import check_pixels, each
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.options import checked


@part("augmentation", "auto_augment")
@dataclass(frozen=True)
class AutoAugment(PerImage):
    """Applies a learnt pair of operations, drawn for each image.

    Its place, as in the paper and in the long-tail codes that use it: after crop and flip, before
    Cutout. Images are uint8, grey or RGB; on grey ones the operation `color` changes nothing.

    Attributes:
        policy: the set of images that the pairs were found on.
        interpolation, fill: of the operations that move pixels.
    """

    policy: Annotated[
        PolicyName, Field(description="the images it was found on (CIFAR-100 takes cifar10, too)")
    ] = "cifar10"
    interpolation: Interpolation = "nearest"
    fill: Fill = 128

    def __post_init__(self) -> None:
        checked(AutoAugment, vars(self))

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses images (H, W, C) that are not uint8, grey or RGB, with a `ValueError`."""
        check_pixels("auto_augment", shape, dtype)

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """The pair of each image; of both operations the chance and the sign."""
        chosen = rng.integers(len(POLICIES[self.policy]), size=count)
        chance = rng.random((count, 2))
        return chosen, chance, rng.random((count, 2)) < 0.5

    def apply(self, x: Pixels, chosen: Any, chance: Any, negative: Any) -> Pixels:
        """Returns the images, each after its pair of operations."""
        self.check(x.shape[1:], x.dtype)
        pairs = POLICIES[self.policy]
        canvas = Canvas(self.interpolation, self.fill)

        def change(row: int, image: Image.Image) -> Image.Image:
            for n, step in enumerate(pairs[chosen[row]]):
                if chance[row, n] < step.probability:
                    sign = bool(negative[row, n])
                    value = value_of(step.name, step.strength, sign, STANDARD, image.size)
                    image = apply(step.name, image, value, canvas)
            return image

        return each(x, change)
