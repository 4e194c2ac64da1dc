"""CutMix with one box per batch (Yun et al. 2019), both hard labels kept.

    l ~ Beta(alpha, alpha),    a box of H sqrt(1 - l) by W sqrt(1 - l) around a random pixel
    x~ = x[p] inside the box, x outside,   p a random order of the batch
    mix = the share of the image outside the box, where the box may stick out

Yun et al., "CutMix: Regularization strategy to train strong classifiers with localizable features"
(arXiv:1905.04899), eq. 1 and 2; alpha is 1 there. The pixels keep their type.
"""

import math

import numpy as np

from keras_ccsam.data.batches.mixup import MixedLabels
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels


def cut_batch(
    x: Pixels, y: Labels, alpha: float, rng: np.random.Generator
) -> tuple[Pixels, MixedLabels]:
    """Puts a box of each image's partner into it.

    Args:
        x: images (B, H, W, C).
        y: classes (B,), int32.
        alpha: parameter of the Beta distribution, above 0.
        rng: source of the box and the order.

    Returns:
        Images of the shape and type of `x`, and the labels: `labels` (B,), `second_labels` (B,) and
        `mix` (B,), the share of the first image, one for the batch.
    """
    height, width = x.shape[1:3]
    side = math.sqrt(1.0 - rng.beta(alpha, alpha))
    order = rng.permutation(len(x))
    rows, columns = (_span(extent, side, rng) for extent in (height, width))
    mixed = x.copy()
    mixed[:, rows, columns] = x[order, rows, columns]
    inside = (rows.stop - rows.start) * (columns.stop - columns.start)
    targets: MixedLabels = {
        "labels": y,
        "second_labels": y[order],
        "mix": np.full(len(y), 1.0 - inside / (height * width), dtype=np.float32),
    }
    return mixed, targets


def _span(extent: int, side: float, rng: np.random.Generator) -> slice:
    """`int(side * extent)` positions around a random one, cut off at the edges."""
    length = int(extent * side)
    first = int(rng.integers(extent)) - length // 2
    return slice(max(first, 0), min(max(first + length, 0), extent))
