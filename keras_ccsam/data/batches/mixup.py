"""Mixup with one weight per batch (Zhang et al. 2018), both hard labels kept.

    x~ = l x + (1 - l) x[p],    l ~ Beta(alpha, alpha),  p a random order of the batch

The labels stay integers: the losses of long-tailed recognition need the class of each image, and
CC-SAM the class before mixing.
"""

from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels

_PIECE = 8


class MixedLabels(TypedDict):
    """Targets of a mixed batch.

    The loss of a sample is ``mix * loss(labels) + (1 - mix) * loss(second_labels)``.
    """

    labels: Labels
    second_labels: Labels
    mix: NDArray[np.float32]


def mix_batch(
    x: Pixels, y: Labels, alpha: float, rng: np.random.Generator
) -> tuple[NDArray[np.float32], MixedLabels]:
    """Mixes a batch with itself in another order.

    Args:
        x: images (B, H, W, C).
        y: classes (B,), int32.
        alpha: parameter of the Beta distribution, above 0.
        rng: source of the weight and the order.

    Returns:
        Images (B, H, W, C) in float32 with the range of `x`, and the labels: `labels` (B,),
        `second_labels` (B,) and `mix` (B,), the batch's weight repeated.
    """
    weight = np.float32(rng.beta(alpha, alpha))
    order = rng.permutation(len(x))
    rest = np.float32(1) - weight
    mixed = np.empty(x.shape, dtype=np.float32)
    # A few images at a time: the terms stay in the cache, and large temporary arrays, whose memory
    # the system would hand out anew for each batch, are not made.
    for first in range(0, len(x), _PIECE):
        piece = slice(first, first + _PIECE)
        np.multiply(x[piece], weight, out=mixed[piece], dtype=np.float32)
        mixed[piece] += np.multiply(x[order[piece]], rest, dtype=np.float32)
    targets: MixedLabels = {
        "labels": y,
        "second_labels": y[order],
        "mix": np.full(len(y), weight, dtype=np.float32),
    }
    return mixed, targets
