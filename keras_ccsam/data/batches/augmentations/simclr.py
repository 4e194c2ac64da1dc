"""The colours of SimCLR's augmentation: jitter most of the time, and sometimes no colour at all.

    jitter of 0.4, 0.4, 0.4 and a hue of 0.1, with probability 0.8;  grey with probability 0.2

The half-strength jitter that MoCo v2 and the contrastive codes of long-tailed recognition take
(BCL, ProCo), which crop and flip before it. On CIFAR they do not blur.

References:
    Chen et al., A Simple Framework for Contrastive Learning of Visual Representations, ICML 2020.
"""

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from PIL import Image
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.batches.augmentations.color_jitter import ColorJitter
from keras_ccsam.data.batches.augmentations.pillow_images import check_pixels, each
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.options import checked

_JITTER = ColorJitter(hue=0.1, probability=0.8)


@part("augmentation", "simclr")
@dataclass(frozen=True)
class SimCLR(PerImage):
    """Jitters the colours of most images, and takes those of some away.

    Its place: after crop and flip. Images are uint8, grey or RGB.

    Attributes:
        grey: probability of taking the colours away.
    """

    grey: Annotated[
        float, Field(ge=0, le=1, description="probability of no colour (code: 0.2)")
    ] = 0.2

    def __post_init__(self) -> None:
        checked(SimCLR, vars(self))

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses images (H, W, C) that are not uint8, grey or RGB, with a `ValueError`."""
        check_pixels("simclr", shape, dtype)

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """What the jitter draws, and which images lose their colours."""
        return *_JITTER.draws(count, shape, rng), rng.random(count) < self.grey

    def apply(self, x: Pixels, *drawn: Any) -> Pixels:
        """Returns the images, changed as was drawn for them."""
        *jitter, without = drawn

        def change(row: int, image: Image.Image) -> Image.Image:
            return image.convert("L").convert(image.mode) if without[row] else image

        return each(_JITTER.apply(x, *jitter), change)
