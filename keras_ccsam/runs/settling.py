"""Whether a stage is long enough for BatchNorm's averages to forget what they began with."""

import keras
import numpy as np

from keras_ccsam.training.batch_statistics import updated_norms

_MUCH = 0.1
"""The share of its first value that an average may keep and nothing is said."""


def short_note(model: keras.Model, steps: int) -> str | None:
    """Say that BatchNorm's averages will not follow, where the training is that short.

    An average keeps momentum^steps of its first value. Those that come with trained weights are
    good from the start.

    Args:
        model: built, before its first step.
        steps: of the training.

    Returns:
        None where every average has time enough.
    """
    fresh = [layer for layer in updated_norms(model) if _is_fresh(layer)]
    kept = max((layer.momentum**steps for layer in fresh), default=0.0)
    if kept <= _MUCH:
        return None
    return (
        f"stage 1 has only {steps} steps, and BatchNorm's averages then still hold {kept:.0%} of "
        f"what they began with. Evaluation and a second stage use them, and their numbers may be "
        f"far off; train for more epochs, or in smaller batches"
    )


def _is_fresh(layer: keras.layers.BatchNormalization) -> bool:
    """Whether its averages are those that it was built with, and are to follow the batches."""
    if layer.momentum >= 1:
        return False
    mean, variance = map(keras.ops.convert_to_numpy, (layer.moving_mean, layer.moving_variance))
    return bool(np.all(mean == 0) and np.all(variance == 1))
