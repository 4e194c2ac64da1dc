"""Which way a batch is mixed with itself: mixup, CutMix, or not at all.

One choice and one weight per batch. Every batch of a sequence has the same structure and type,
whichever way is drawn: a compiled step is compiled once. Unmixed labels have `mix` 1.
"""

from typing import Protocol

import numpy as np

from keras_ccsam.data.batches.cutmix import cut_batch
from keras_ccsam.data.batches.mixup import MixedLabels, mix_batch
from keras_ccsam.data.batches.weights import SampleWeights, mixed_weights
from keras_ccsam.data.images.store import Pixels
from keras_ccsam.data.sources.source import Labels


class Mixing(Protocol):
    """The options of mixing, as `batch_options.BatchOptions` has them."""

    @property
    def mixup(self) -> float:
        """Alpha of mixup; 0: none."""
        ...

    @property
    def cutmix(self) -> float:
        """Alpha of CutMix; 0: none."""
        ...

    @property
    def cutmix_share(self) -> float:
        """With both, the share of the mixed batches that is cut."""
        ...

    @property
    def mix_probability(self) -> float:
        """The share of the batches that is mixed."""
        ...


def mixed(
    x: Pixels,
    y: Labels,
    weights: SampleWeights | None,
    options: Mixing,
    rng: np.random.Generator,
) -> tuple[Pixels, MixedLabels, SampleWeights | None]:
    """Mixes a batch as the options say.

    Args:
        x: images (B, H, W, C).
        y: classes (B,), int32.
        weights: of the samples (B,), or None.
        options: `mixup`, `cutmix`, or both above 0.
        rng: source of the choice, the weight and the order.

    Returns:
        Images, in float32 where mixup is among the ways; labels; and the weights that give each
        label of a sample its own, or None.
    """
    positions = np.arange(len(y), dtype=np.int32)
    # Nothing is drawn for a choice that there is not: mixup alone stays what it always was.
    if options.mix_probability < 1 and rng.random() >= options.mix_probability:
        of = MixedLabels(
            labels=positions, second_labels=positions, mix=np.ones(len(y), dtype=np.float32)
        )
    elif options.cutmix and (not options.mixup or rng.random() < options.cutmix_share):
        x, of = cut_batch(x, positions, options.cutmix, rng)
    else:
        x, of = mix_batch(x, positions, options.mixup, rng)
    if options.mixup:
        x = x.astype(np.float32, copy=False)
    second = of["second_labels"]
    targets = MixedLabels(labels=y, second_labels=y[second], mix=of["mix"])
    if weights is None:
        return x, targets, None
    return x, *mixed_weights(targets, weights, weights[second])
