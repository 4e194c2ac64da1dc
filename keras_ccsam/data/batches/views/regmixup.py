"""RegMixup: cross-entropy of the images, and beside it that of their mixtures.

    L = mean_i l(x_i, y_i) + eta mean_i [ m l(x~_i, y_i) + (1 - m) l(x~_i, y_p(i)) ]
    x~_i = m x_i + (1 - m) x_p(i),    m ~ Beta(alpha, alpha),    p a random order of the batch

With a large alpha the mixtures lie halfway between images. They regularise; the images themselves
are learnt as well, which plain mixup leaves out. Both halves pass the network as one batch, as in
the authors' code. That code takes the mean over both halves, which is half of L at eta 1; SURE's
code has L.

References:
    Pinto et al., Using Mixup as a Regularizer Can Surprisingly Improve Accuracy and
    Out-of-Distribution Robustness, NeurIPS 2022 (arXiv:2206.14502).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from keras_ccsam.data.batches.mixup import Mixup
from keras_ccsam.data.batches.views.views import Album, Rows, View, Views
from keras_ccsam.declare import Limit, part
from keras_ccsam.options import checked


@part("views", "regmixup", limit=Limit("cross_entropy", weight=0.0))
@dataclass(frozen=True)
class RegMixup(Views):
    """Each image, and each image mixed with another one of the batch.

    Attributes:
        alpha: of the Beta distribution; one mixing weight per batch.
        weight: eta, of the mixed half in the loss. At 0 there is no mixed half.
    """

    alpha: Annotated[
        float, Field(gt=0, description="of Beta (code: 20 CIFAR-10, 10 CIFAR-100; SURE: 10)")
    ] = 10.0
    weight: Annotated[float, Field(ge=0, description="eta, of the mixed half (paper: 1)")] = 1.0

    def __post_init__(self) -> None:
        checked(RegMixup, vars(self))

    @property
    def count(self) -> int:
        """2; 1 at a weight of 0."""
        return 2 if self.weight else 1

    def views(self, album: Album, rows: Rows, rng: np.random.Generator) -> Sequence[View]:
        """The images, and their mixtures."""
        x = album.pixels(rows)
        clean = View(x, rows, rows, 1.0, 1.0)
        if not self.weight:
            return [clean]
        way = Mixup.draw(self.alpha, len(rows), x.shape[1:], rng)
        mixed = way.pixels(x, x, way.order)
        return [clean, View(mixed, rows, rows[way.order], float(way.share), self.weight)]
