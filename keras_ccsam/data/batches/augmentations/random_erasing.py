"""Random erasing: a rectangle of random area and shape becomes noise.

Zhong et al., "Random erasing data augmentation" (arXiv:1708.04896), algorithm 1.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.declare import part
from keras_ccsam.options import checked

_TRIES = 10  # rectangles drawn per image: the first that fits is taken


@part("augmentation", "random_erasing")
@dataclass(frozen=True)
class RandomErasing(PerImage):
    """Overwrites a random rectangle inside some of the images.

    Its place: last, where Cutout would be. Any size and number of channels.

    Attributes:
        probability: of an image to be erased.
        min_area, max_area: share of the image.
        min_ratio: of height to width; the largest is 1 / min_ratio.
        fill: `"noise"`, a random value per pixel and channel (uint8 images only), or a number.
    """

    probability: Annotated[
        float, Field(ge=0, le=1, description="of erasing in an image (paper: 0.5)")
    ] = 0.5
    min_area: Annotated[float, Field(gt=0, le=1, description="share (paper: 0.02)")] = 0.02
    max_area: Annotated[float, Field(gt=0, le=1, description="share (paper: 0.4)")] = 0.4
    min_ratio: Annotated[
        float, Field(gt=0, le=1, description="height to width, at least (paper: 0.3)")
    ] = 0.3
    fill: Annotated[
        Literal["noise"] | float, Field(description="of the rectangle (paper: noise)")
    ] = "noise"

    def __post_init__(self) -> None:
        checked(RandomErasing, vars(self))
        if self.min_area > self.max_area:
            raise ValueError(
                f"max_area must be at least min_area, {self.min_area:g}. "
                f"Received: max_area={self.max_area!r}"
            )

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses noise among float images, whose range is not known, with a `ValueError`."""
        if self.fill == "noise" and dtype != np.uint8:
            raise ValueError(
                "The augmentation 'random_erasing' fills uint8 images with noise; for others, "
                f"whose range is not known, give a number. Received: fill='noise' for {dtype}"
            )

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """The rectangle of each image, as rows and columns, and what fills it; None of most."""
        height, width, channels = shape
        erased = rng.random(count) < self.probability
        size = (count, _TRIES)
        area = rng.uniform(self.min_area, self.max_area, size) * height * width
        ratio = rng.uniform(self.min_ratio, 1 / self.min_ratio, size)
        tall = np.rint(np.sqrt(area * ratio)).astype(int)
        wide = np.rint(np.sqrt(area / ratio)).astype(int)
        fits = (tall < height) & (wide < width) & (tall > 0) & (wide > 0)
        first = fits.argmax(axis=1)
        place = rng.random((count, 2))
        found: list[Any] = [None] * count
        for row in np.flatnonzero(erased & fits.any(axis=1)):
            h, w = tall[row, first[row]], wide[row, first[row]]
            top, left = int(place[row, 0] * (height - h + 1)), int(place[row, 1] * (width - w + 1))
            inside: Any = self.fill
            if inside == "noise":
                inside = rng.integers(0, 256, size=(h, w, channels), dtype=np.uint8)
            found[row] = (slice(top, top + h), slice(left, left + w), inside)
        return (found,)

    def apply(self, x: Pixels, rectangles: Any) -> Pixels:
        """Returns the images, some of them with a rectangle overwritten."""
        self.check(x.shape[1:], x.dtype)
        x = x.copy()
        for image, rectangle in zip(x, rectangles, strict=True):
            if rectangle is not None:
                rows, columns, inside = rectangle
                image[rows, columns] = inside
        return x
