"""An image as it is classified, and further ones of it to contrast: several augmentations.

    rows (i, 0): augmented as the batch says;  (i, 1), ..., (i, copies): augmented by `augment`
    L = mean_i l(row (i, 0))

The further rows have no loss of their own: a term of the loss takes them, such as ProCo. They pass
the network with the others, and BatchNorm takes the statistics of all of them.

References:
    Du et al., Probabilistic Contrastive Learning for Long-Tailed Visual Recognition, TPAMI 2024
    (arXiv:2403.06726), and its code for the augmentations on CIFAR.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from keras_ccsam.data.batches.augment import resolve
from keras_ccsam.data.batches.views.views import Album, Rows, View, Views
from keras_ccsam.declare import part
from keras_ccsam.options import checked


@part("views", "contrast", trials=({"augment": ("crop",)},))
@dataclass(frozen=True)
class Contrast(Views):
    """Each image, and further augmentations of it without a loss of their own.

    Attributes:
        copies: further rows of each image.
        augment: names of augmentations, for the further rows.
    """

    copies: Annotated[int, Field(ge=1, description="further rows of each image (code: 2)")] = 2
    augment: Annotated[
        tuple[str, ...],
        Field(strict=False, description="of the further rows (code on CIFAR: the default)"),
    ] = ("random_resized_crop", "flip", "simclr")

    def __post_init__(self) -> None:
        for name, value in checked(Contrast, vars(self)).items():
            object.__setattr__(self, name, value)
        resolve(self.augment, ())

    @property
    def count(self) -> int:
        """1 and the copies."""
        return 1 + self.copies

    def views(self, album: Album, rows: Rows, rng: np.random.Generator) -> Sequence[View]:
        """The images, and further augmentations of them."""
        further = resolve(self.augment, ())
        found = [View(album.pixels(rows), rows, rows, 1.0, 1.0)]
        for _ in range(self.copies):
            found.append(View(album.pixels(rows, further), rows, rows, 1.0, 0.0))
        return found
