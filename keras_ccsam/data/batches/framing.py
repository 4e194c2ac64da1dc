"""Random-resized crop: a random part of each image, resized to the size that the network sees.

    share of the area   uniform in `area`                                   (Szegedy et al. 2015)
    width / height      log-uniform in `ratio`
    place               uniform where it fits

Ten draws are made; where none of them fits into the image, the largest centred part of an allowed
proportion is taken (as torchvision does).

The draws come first, and depend on nothing but the batch's generator. So a store can choose the
part before it decodes, and decode no more of a file than the part needs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.images.store import Box, ImageStore, Pixels, View
from keras_ccsam.data.images.view import reframed
from keras_ccsam.data.sources.source import Images
from keras_ccsam.declare import part
from keras_ccsam.options import checked

_TRIES = 10


@runtime_checkable
class Framing(Protocol):
    """An augmentation that only chooses which part of an image is seen."""

    def views(self, count: int, rng: np.random.Generator) -> Sequence[View]:
        """What is seen of each of `count` images."""
        ...


@dataclass(frozen=True, eq=False)
class RandomPart:
    """The part of one image, as soon as its size is known.

    Attributes:
        areas: (10,) shares of the area.
        ratios: (10,) widths over heights.
        places: (10, 2) where, from 0 (left, top) to 1 (right, bottom).
        limits: of the ratio, for an image into which no draw fits.
    """

    areas: NDArray[np.float64]
    ratios: NDArray[np.float64]
    places: NDArray[np.float64]
    limits: tuple[float, float]

    def box(self, width: int, height: int) -> Box:
        """The first draw that fits; whole pixels."""
        # Python's numbers are several times quicker here, and short-lived lists cost no collection.
        areas, ratios, places = self.areas.tolist(), self.ratios.tolist(), self.places.tolist()
        for area, ratio, (x, y) in zip(areas, ratios, places, strict=True):
            wide = round(math.sqrt(area * width * height * ratio))
            high = round(math.sqrt(area * width * height / ratio))
            if 0 < wide <= width and 0 < high <= height:
                # One of width - wide + 1 places, each as likely.
                left, top = int(x * (width - wide + 1)), int(y * (height - high + 1))
                return float(left), float(top), float(left + wide), float(top + high)
        low, high_ratio = self.limits
        wide, high = width, height
        if width / height < low:
            high = max(1, round(width / low))
        elif width / height > high_ratio:
            wide = max(1, round(height * high_ratio))
        left, top = (width - wide) // 2, (height - high) // 2
        return float(left), float(top), float(left + wide), float(top + high)


@part("augmentation", "random_resized_crop")
@dataclass(frozen=True)
class RandomResizedCrop(PerImage):
    """Cuts a random part of an image out and resizes it.

    Of files it must be the first augmentation: a JPEG is then decoded at reduced scale where the
    part is large. Anywhere else it cuts from the pixels that it is given.

    Attributes:
        area: smallest and largest share of the image's area (ImageNet: 0.08 to 1).
        ratio: smallest and largest width over height (ImageNet: 3/4 to 4/3).
    """

    area: Annotated[
        tuple[float, float],
        Field(strict=False, description="smallest and largest share of the area (ImageNet)"),
    ] = (0.08, 1.0)
    ratio: Annotated[
        tuple[float, float],
        Field(strict=False, description="smallest and largest width over height (ImageNet)"),
    ] = (0.75, 4 / 3)

    def __post_init__(self) -> None:
        for name, value in checked(RandomResizedCrop, vars(self)).items():
            object.__setattr__(self, name, value)
        low, high = self.area
        if not 0 < low <= high <= 1:
            raise ValueError(
                "area must be two ascending shares above 0 and of at most 1. "
                f"Received: area={self.area}"
            )
        low, high = self.ratio
        if not 0 < low <= high < math.inf:
            raise ValueError(
                f"ratio must be two ascending numbers above 0. Received: ratio={self.ratio}"
            )

    def views(self, count: int, rng: np.random.Generator) -> Sequence[View]:
        """What is seen of each of `count` images."""
        low, high = self.ratio
        areas = rng.uniform(*self.area, size=(count, _TRIES))
        ratios = np.exp(rng.uniform(math.log(low), math.log(high), size=(count, _TRIES)))
        places = rng.random((count, _TRIES, 2))
        return [RandomPart(areas[i], ratios[i], places[i], self.ratio) for i in range(count)]

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """What is seen of each image."""
        return (self.views(count, rng),)

    def apply(self, x: Pixels, views: Sequence[View]) -> Pixels:
        """Returns what is seen of each image, in the images' size."""
        return reframed(x, views)


def default_augment(images: Images) -> tuple[str, ...]:
    """What `"default"` stands for in training: nothing but for colour images."""
    shape = tuple(images.shape[1:])
    if isinstance(images, ImageStore) and shape != (32, 32, 3):
        return ("random_resized_crop", "flip") if shape[-1] == 3 else ()
    return ("crop", "flip") if shape == (32, 32, 3) else ()
