"""CUDA: an augmentation of each class's own strength, which rises as the class is learnt.

    level L_c of class c, from 0 to 10; 0 as training begins
    of an image of class c:  with probability p  L_c operations, each of strength L_c / 30,
                             drawn with replacement from 22;  otherwise none

    before each epoch, of each class c and each level l = 0, ..., L_c:
        a_cl = accuracy on T (l + 1) of its training images, drawn with replacement, at level l
    L_c <- L_c + 1  if a_cl > gamma for all l,  else L_c - 1;  kept within 0 and 10

The callback `curriculum` judges the levels, which the batches then read. An operation's value goes
from its least at strength 0 to its largest at strength 1, and strengths are at most 1/3.

References:
    Ahn, Ko and Yun, CUDA: Curriculum of Data Augmentation for Long-Tailed Recognition, ICLR 2023.
"""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from keras_ccsam.data.batches.augment import Draws, PerImage
from keras_ccsam.data.batches.augmentations.magnitudes import CURRICULUM, value_of
from keras_ccsam.data.batches.augmentations.operations import Canvas, apply
from keras_ccsam.data.batches.augmentations.pillow_images import check_pixels, each
from keras_ccsam.data.batches.of_classes import OfClasses
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels
from keras_ccsam.declare import Limit, part
from keras_ccsam.hints import did_you_mean
from keras_ccsam.options import checked

MOST = 10
"""The highest level."""
_STRONGEST = 30.0
_CANVAS = Canvas("nearest", 0)  # what comes into view is black, as in the authors' code

Levels = NDArray[np.int64]


@part(
    "augmentation",
    "curriculum",
    limit=Limit("cross_entropy", probability=0.0),
    trials=({"start": 3},),
)
@dataclass(frozen=True)
class Curriculum(OfClasses):
    """Applies as many operations, and as strong ones, as the level of an image's class says.

    The levels are state. The callback `curriculum` moves them; without it they stay at `start`.
    At a level of 0 no random number is drawn, and the batches are those without this augmentation.
    Its place: after crop and flip, before Cutout. Images are uint8, grey or RGB; on grey ones the
    operation `color` changes nothing.

    Attributes:
        probability: with which an image is augmented at all.
        start: the level of every class before it is judged.
        without: names of operations that are left out, where they change what an image shows.
        levels: of the classes (K,); None until they are judged.
    """

    probability: Annotated[
        float, Field(ge=0, le=1, description="of augmenting an image (code: 0.5)")
    ] = 0.5
    start: Annotated[
        int, Field(ge=0, le=MOST, description="level before a class is judged (code: 0)")
    ] = 0
    without: Annotated[
        tuple[str, ...],
        Field(strict=False, description="operations that are left out (code: none)"),
    ] = ()
    _held: dict[str, Levels] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in ("probability", "start", "without")}
        for name, value in checked(Curriculum, given).items():
            object.__setattr__(self, name, value)
        unknown = next((name for name in self.without if name not in CURRICULUM), None)
        if unknown is not None or not self._names:
            raise ValueError(
                f"without must name operations of {', '.join(CURRICULUM)}, and not all of them"
                f"{did_you_mean(unknown, CURRICULUM) or '.'} Received: without={list(self.without)}"
            )

    @property
    def levels(self) -> Levels | None:
        """(K,); None until they are judged."""
        return self._held.get("levels")

    def set_levels(self, levels: Levels | None) -> None:
        """Gives each class its level; None gives all of them `start`.

        Batches that were prepared before have the levels from before: see
        `BatchSequence.drop_prepared`.

        Args:
            levels: (K,), whole numbers from 0 to 10.

        Raises:
            ValueError: for other levels.
        """
        if levels is None:
            self._held.clear()
            return
        found = np.asarray(levels)
        whole = found.dtype.kind in "iu" and found.ndim == 1
        if not whole or (found.size and not 0 <= found.min() <= found.max() <= MOST):
            raise ValueError(
                f"levels must be (K,) whole numbers from 0 to {MOST}. Received: levels={levels!r}"
            )
        self._held["levels"] = found.astype(np.int64)

    def of(self, labels: Labels) -> PerImage:
        """What is done to images of these classes (B,).

        Raises:
            ValueError: for a class that has no level.
        """
        held = self.levels
        if held is not None and labels.max(initial=0) >= len(held):
            raise ValueError(
                "levels must be (K,), one of each class that images are of. "
                f"Received: {len(held)} levels, and images of class {int(labels.max())}"
            )
        own = np.full(len(labels), self.start) if held is None else held[labels]
        return _Operations(own, self.probability, self._names)

    def at(self, levels: Levels) -> PerImage:
        """What is done to images whose levels (B,) are given: every one of them is augmented."""
        return _Operations(np.asarray(levels), 1.0, self._names)

    def check(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Refuses images (H, W, C) that are not uint8, grey or RGB, with a `ValueError`."""
        check_pixels("curriculum", shape, dtype)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in CURRICULUM if name not in self.without)


@dataclass(frozen=True, eq=False)
class _Operations(PerImage):
    """Operations on images of given levels (B,)."""

    levels: Levels
    probability: float
    names: tuple[str, ...]

    def draws(self, count: int, shape: tuple[int, ...], rng: np.random.Generator) -> Draws:
        """How many operations each image gets, which ones, and with which sign."""
        most = int(self.levels.max(initial=0)) if self.probability else 0
        if not most:  # what is drawn after this is what would be drawn without it
            nothing = np.zeros((count, 0), np.int64)
            return np.zeros(count, np.int64), nothing, nothing
        applied = rng.random(count) < self.probability
        which = rng.integers(len(self.names), size=(count, most))
        return np.where(applied, self.levels, 0), which, rng.random((count, most)) < 0.5

    def apply(self, x: Pixels, levels: Any, which: Any, negative: Any) -> Pixels:
        """Returns the images, each after its operations."""
        if not np.any(levels):
            return x
        check_pixels("curriculum", x.shape[1:], x.dtype)

        def change(row: int, image: Image.Image) -> Image.Image:
            level = int(levels[row])
            for n in range(level):
                name, sign = self.names[which[row, n]], bool(negative[row, n])
                value = value_of(name, level / _STRONGEST, sign, CURRICULUM, image.size)
                image = apply(name, image, value, _CANVAS)
            return image

        return each(x, change)
