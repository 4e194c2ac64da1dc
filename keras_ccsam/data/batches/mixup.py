"""Mixup with one weight per batch (Zhang et al. 2018), both hard labels kept.

    x~ = l x + (1 - l) x[p],    l ~ Beta(alpha, alpha),  p a random order of the batch

The labels stay integers: the losses of long-tailed recognition need the class of each image, and
CC-SAM the class before mixing.
"""

from dataclasses import dataclass
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels

_PIECE = 8


class MixedLabels(TypedDict):
    """Targets of a mixed batch.

    The loss of a sample is ``mix * loss(labels) + (1 - mix) * loss(second_labels)``. With
    `sample_index`, `index` is the place of the first label's image in the data.
    """

    labels: Labels
    second_labels: Labels
    mix: NDArray[np.float32]
    index: NotRequired[NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Mixup:
    """One drawn weight and order of a batch.

    Attributes:
        weight: l, of the first image.
        order: the partner of each image (B,): its place in the batch.
    """

    weight: np.float32
    order: NDArray[np.int64]

    @classmethod
    def draw(
        cls, alpha: float, count: int, shape: tuple[int, ...], rng: np.random.Generator
    ) -> "Mixup":
        """For `count` images of `shape` (H, W, C); alpha above 0."""
        weight = np.float32(rng.beta(alpha, alpha))
        return cls(weight, rng.permutation(count))

    @property
    def share(self) -> np.float32:
        """Of the first label."""
        return self.weight

    def pixels(self, x: Pixels, others: Pixels, partners: NDArray[np.int64]) -> Pixels:
        """Images x (B, H, W, C) mixed with `others[partners]`, in float32 with their range."""
        rest = np.float32(1) - self.weight
        mixed = np.empty(x.shape, dtype=np.float32)
        # A few images at a time: the terms stay in the cache, and large temporary arrays, whose
        # memory the system would hand out anew for each batch, are not made.
        for first in range(0, len(x), _PIECE):
            piece = slice(first, first + _PIECE)
            np.multiply(x[piece], self.weight, out=mixed[piece], dtype=np.float32)
            mixed[piece] += np.multiply(others[partners[piece]], rest, dtype=np.float32)
        return mixed
