"""Which way a batch is mixed with itself: mixup, CutMix, or not at all.

One choice and one weight per batch. Every batch of a sequence has the same structure and type,
whichever way is drawn: a compiled step is compiled once. Unmixed labels have `mix` 1.
"""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.batches.cutmix import CutMix
from keras_ccsam.data.batches.mixup import MixedLabels, Mixup
from keras_ccsam.data.batches.weights import SampleWeights, mixed_weights
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


def draw_way(
    options: Mixing, count: int, shape: tuple[int, ...], rng: np.random.Generator
) -> Mixup | CutMix | None:
    """The way of one batch; None where it is not mixed.

    Args:
        options: `mixup`, `cutmix`, or both above 0.
        count: images of the batch.
        shape: (H, W, C) of one.
        rng: source of the choice, the weight and the order.
    """
    # Nothing is drawn for a choice that there is not: mixup alone stays what it always was.
    if options.mix_probability < 1 and rng.random() >= options.mix_probability:
        return None
    if options.cutmix and (not options.mixup or rng.random() < options.cutmix_share):
        return CutMix.draw(options.cutmix, count, shape, rng)
    return Mixup.draw(options.mixup, count, shape, rng)


def mixed_targets(
    way: Mixup | CutMix | None,
    y: Labels,
    weights: SampleWeights | None,
    share: NDArray[np.int64] | None = None,
) -> tuple[MixedLabels, SampleWeights | None]:
    """What a batch is mixed to.

    Args:
        way: of the batch.
        y: its classes (B,), int32.
        weights: of its samples (B,), or None.
        share: places of the samples that are asked for; all by default.

    Returns:
        Their labels, and the weights that give each label of a sample its own, or None.
    """
    first = np.arange(len(y)) if share is None else share
    second = first if way is None else way.order[first]
    mix = np.full(len(first), 1 if way is None else way.share, dtype=np.float32)
    targets = MixedLabels(labels=y[first], second_labels=y[second], mix=mix)
    if weights is None:
        return targets, None
    return mixed_weights(targets, weights[first], weights[second])
