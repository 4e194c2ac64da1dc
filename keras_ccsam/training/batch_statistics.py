"""What BatchNorm sees of a batch, and its statistics computed anew.

In training mode BatchNorm writes  m <- momentum m + (1 - momentum) s,  s being the batch's mean or
(biased) variance. With the old m mapped to zero in a `keras.StatelessScope`, the new one over
(1 - momentum) is s to rounding: no subtraction of an old value, and no variable is written.

Recomputed statistics are the plain averages of s over the batches, each batch counting once
whatever its size: what `torch.optim.swa_utils.update_bn` computes with its momentum of None, but
that torch's variances are the unbiased ones (a factor n / (n - 1), n = batch x pixels).
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.layers.walk import all_layers
from keras_ccsam.training.stoppable import Stoppable
from keras_ccsam.typing import Tensor


def batch_norms(model: keras.Layer) -> list[keras.layers.BatchNormalization]:
    """The BatchNorm layers whose statistics a training step of the model updates.

    As `updated_norms`.

    Args:
        model: a built model or layer.

    Raises:
        ValueError: if one of them uses batch renormalisation, which keeps other statistics.
    """
    norms = updated_norms(model)
    for layer in norms:
        if getattr(layer, "renorm", False):
            raise ValueError(
                "Batch renormalisation keeps other statistics than the batch's. "
                f"Received: layer={layer.name!r} with renorm=True"
            )
    return norms


def updated_norms(model: keras.Layer) -> list[keras.layers.BatchNormalization]:
    """The BatchNorm layers whose averages a training step updates, those that renormalise, too.

    Frozen layers are left out, and so is what a model runs in inference mode while it trains: one
    that does names the rest as `part_in_training`.

    Args:
        model: a built model or layer.
    """
    # What terms of the loss learn no output needs.
    left_out = {id(term) for term in getattr(model, "terms", ())}
    part = getattr(model, "part_in_training", model)
    found = {id(layer): layer for layer in all_layers(part, left_out)}
    return [
        layer
        for layer in found.values()
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def batch_statistics(
    model: keras.Layer, x: Any, state: Sequence[tuple[keras.Variable, Tensor]] = ()
) -> list[tuple[keras.Variable, Tensor]]:
    """The mean and variance of one batch at every BatchNorm layer; writes nothing.

    Pure, so that it may stand inside a compiled step. A BatchNorm that a pass calls more than once
    gives a mixture of its batches.

    Args:
        model: a built model, called as `model(x, training=True)`.
        x: the batch's inputs.
        state: pairs of a variable and its value. A step that is stateless (JAX), or that looks at
            other weights than the current ones, gives them all: the scope that this opens does
            not ask one around it. BatchNorm's own statistics in it are ignored.

    Returns:
        Pairs (moving_mean, batch mean), (moving_variance, batch variance), layer by layer.
    """
    moving = [
        (variable, 1.0 - layer.momentum)
        for layer in batch_norms(model)
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    zeros = [(variable, ops.zeros(variable.shape, variable.dtype)) for variable, _ in moving]
    with keras.StatelessScope([*state, *zeros], collect_losses=True) as scope:
        model(x, training=True)
    return [(v, scope.get_current_value(v) / ops.cast(share, v.dtype)) for v, share in moving]


class _Statistics(keras.Model):
    """Puts out a batch's statistics, each as one row, so that `predict` stacks them."""

    def __init__(self, network: keras.Layer) -> None:
        # The network casts its own inputs and weights.
        super().__init__(name="batch_statistics", dtype=keras.config.floatx(), autocast=False)
        self.network = network
        self.built = True

    def call(self, inputs: Any) -> list[Tensor]:
        network = self.network
        variables = [*network.trainable_variables, *network.non_trainable_variables]
        state = [(variable, variable.value) for variable in variables]
        return [ops.expand_dims(s, 0) for _, s in batch_statistics(network, inputs, state)]


def recompute_batch_statistics(model: keras.Model, batches: Any) -> None:
    """Sets every BatchNorm's moving statistics to their averages over the batches.

    The model runs in training mode (dropout is on) at its current weights. Weights, seeds, the
    global random generator and the optimizer stay as they were.

    Args:
        model: a built model. One without BatchNorm is left alone.
        batches: a finite data set that `keras.Model.predict` takes, such as a
            `data.BatchSequence`: one pass over it is made.
    """
    norms = batch_norms(model)
    if not norms:
        return
    rewind = backend.replay_rng()
    try:
        rows = _Statistics(model).predict(batches, verbose=0, callbacks=[Stoppable()])
    finally:
        rewind()
    moving = [v for layer in norms for v in (layer.moving_mean, layer.moving_variance)]
    for variable, values in zip(moving, keras.tree.flatten(rows), strict=True):
        mean = np.mean(np.asarray(values, "float64"), axis=0)
        variable.assign(ops.convert_to_tensor(mean, variable.dtype))
