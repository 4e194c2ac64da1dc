"""Two mixtures of each image, as GLMC has them: a global one by mixup, a local one by CutMix.

    x_g = m x + (1 - m) x',            m ~ Beta(alpha, alpha), one for both
    x_l = x' inside a box, x outside,  a box of H sqrt(1 - m) by W sqrt(1 - m) around a random pixel
    P(partner of class c) ~ n_c^(1 - partner_power)

The partner of an image is drawn from the whole set, the same for both mixtures. Each mixture has
a crop and flip of its own. The labels of both are mixed by m, also where the box sticks out, as in
the authors' code, which adds their losses, and does not average them.

References:
    Du et al., Global and Local Mixture Consistency Cumulative Learning for Long-tailed Visual
    Recognitions, CVPR 2023 (arXiv:2305.08661), and its code.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from keras_ccsam.data.batches.cutmix import box
from keras_ccsam.data.batches.mixup import Mixup
from keras_ccsam.data.batches.views.views import Album, Rows, View, Views
from keras_ccsam.data.sources.source import Labels
from keras_ccsam.declare import part
from keras_ccsam.options import checked


@part("views", "mixtures")
@dataclass(frozen=True)
class Mixtures(Views):
    """Each image twice: mixed with another one, and with a box of the same other one in it.

    Attributes:
        alpha: of the Beta distribution.
        partner_power: how much more often partners are drawn from rare classes: 0 takes every
            image alike, 1 every class alike.
    """

    alpha: Annotated[float, Field(gt=0, description="of Beta (code: 1)")] = 1.0
    partner_power: Annotated[
        float, Field(ge=0, description="of 1 / n_c, by which partners are drawn (code: 0, 0.2)")
    ] = 0.0

    def __post_init__(self) -> None:
        checked(Mixtures, vars(self))

    @property
    def count(self) -> int:
        """2."""
        return 2

    def views(self, album: Album, rows: Rows, rng: np.random.Generator) -> Sequence[View]:
        """The global mixtures, and the local ones."""
        x = album.pixels(rows), album.pixels(rows)
        partners = self._partners(album.y, len(rows), rng)
        others = album.pixels(partners), album.pixels(partners)
        own = np.arange(len(rows))
        share = np.float32(rng.beta(self.alpha, self.alpha))
        mixed = Mixup(share, own).pixels(x[0], others[0], own)
        height, width = x[1].shape[1:3]
        down, across = box(height, width, float(share), rng)
        cut = x[1].copy()
        cut[:, down, across] = others[1][:, down, across]
        return [View(pixels, rows, partners, float(share), 1.0) for pixels in (mixed, cut)]

    def _partners(self, y: Labels, count: int, rng: np.random.Generator) -> Rows:
        if not self.partner_power:
            return rng.integers(len(y), size=count)
        each = np.bincount(y).astype("float64")[y] ** -self.partner_power
        # By the sums: NumPy's own choice goes through all images for its checks as well.
        sums = np.cumsum(each)
        return np.searchsorted(sums, rng.random(count) * sums[-1], side="right")
