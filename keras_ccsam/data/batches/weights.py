"""What each sample of a batch weighs: its class's weight, times that of the data set's own.

    L = sum_i w_i l_i / B,    w_i = w_{y_i} v_i

Keras' `class_weight` and `sample_weight`. Where samples are mixed, each label counts with the
weight of its own sample, so that the loss is

    sum_i (m w_i l(y_i) + (1 - m) w_{p(i)} l(y_{p(i)})) / B
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.batches.mixup import MixedLabels
from keras_ccsam.data.sources.source import Labels
from keras_ccsam.losses.balanced_class_weight import balanced_class_weight, check_class_weight

SampleWeights = NDArray[np.float32]


def sample_weights(data: Any, split: str, y: Labels, class_weight: Any) -> SampleWeights | None:
    """The weight of every sample of a part, (N,); None where all count the same.

    Args:
        data: the data set; `weights`, where it has them, are those of its training images.
        split: the name of the part.
        y: its classes (N,).
        class_weight: `"auto"`, weights by class number, or None.

    Raises:
        ValueError: if the class weights do not fit the classes.
    """
    weights: SampleWeights | None = getattr(data, "weights", None) if split == "train" else None
    if class_weight is None:
        return weights
    if isinstance(class_weight, str):  # "auto": checked with the other options
        class_weight = balanced_class_weight(data.class_counts)
    by_class = check_class_weight(class_weight, data.num_classes)
    of_class = np.array(list(by_class.values()), dtype=np.float32)[y]
    return of_class if weights is None else of_class * weights


def mixed_weights(
    targets: MixedLabels, first: SampleWeights, second: SampleWeights
) -> tuple[MixedLabels, SampleWeights]:
    """Labels and weights (B,) of mixed samples whose parts weigh `first` and `second`, (B,) each.

    The shares of the labels are weighted, and a sample weighs what its parts do together.
    """
    mix = targets["mix"]
    share = mix * first
    weights = share + (1 - mix) * second
    weighted = np.divide(share, weights, out=mix.copy(), where=weights > 0)
    return {**targets, "mix": weighted}, weights
