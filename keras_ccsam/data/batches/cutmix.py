"""CutMix with one box per batch (Yun et al. 2019), both hard labels kept.

    l ~ Beta(alpha, alpha),    a box of H sqrt(1 - l) by W sqrt(1 - l) around a random pixel
    x~ = x[p] inside the box, x outside,   p a random order of the batch
    mix = the share of the image outside the box, where the box may stick out

Yun et al., "CutMix: Regularization strategy to train strong classifiers with localizable features"
(arXiv:1905.04899), eq. 1 and 2; alpha is 1 there. The pixels keep their type.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.store import Pixels


@dataclass(frozen=True, eq=False)
class CutMix:
    """One drawn box and order of a batch.

    Attributes:
        rows, columns: of the box.
        share: of the image outside the box, which is that of the first label.
        order: the partner of each image (B,): its place in the batch.
    """

    rows: slice
    columns: slice
    share: np.float32
    order: NDArray[np.int64]

    @classmethod
    def draw(
        cls, alpha: float, count: int, shape: tuple[int, ...], rng: np.random.Generator
    ) -> "CutMix":
        """For `count` images of `shape` (H, W, C); alpha above 0."""
        height, width = shape[:2]
        share = rng.beta(alpha, alpha)
        order = rng.permutation(count)
        rows, columns = box(height, width, share, rng)
        inside = (rows.stop - rows.start) * (columns.stop - columns.start)
        return cls(rows, columns, np.float32(1.0 - inside / (height * width)), order)

    def pixels(self, x: Pixels, others: Pixels, partners: NDArray[np.int64]) -> Pixels:
        """Images x (B, H, W, C) with the box of `others[partners]`; of the same type."""
        mixed = x.copy()
        mixed[:, self.rows, self.columns] = others[partners, self.rows, self.columns]
        return mixed


def box(height: int, width: int, share: float, rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns of a box that leaves `share` of an image, where it does not stick out."""
    side = math.sqrt(1.0 - share)
    return _span(height, side, rng), _span(width, side, rng)


def _span(extent: int, side: float, rng: np.random.Generator) -> slice:
    """`int(side * extent)` positions around a random one, cut off at the edges."""
    length = int(extent * side)
    first = int(rng.integers(extent)) - length // 2
    return slice(max(first, 0), min(max(first + length, 0), extent))
