"""BatchNorm over the batch of all replicas, for as long as a model trains on several.

    n_r, m_r, q_r    a replica's values, their mean, and sum (x - m_r)^2
    n = sum_r n_r    m = sum_r n_r m_r / n    var = sum_r (q_r + n_r (m_r - m)^2) / n

(Chan et al., 1979: no difference of large sums.) One message of 2 C + 1 numbers a layer goes each
way, as its gradient is summed over the replicas too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.checks import at_least_float32
from keras_ccsam.layers.batch_normalization import BatchNormalization
from keras_ccsam.layers.walk import all_layers
from keras_ccsam.typing import Tensor


def _call(
    layer: keras.layers.BatchNormalization,
    inputs: Tensor,
    training: bool | None = None,
    mask: Any = None,
) -> Tensor:
    """What `BatchNormalization.call` is, with the statistics of all replicas' rows in training."""
    if not (training and layer.trainable):
        return type(layer).call(layer, inputs, training=training, mask=mask)
    if mask is not None or layer.renorm:
        raise ValueError(
            "Over several replicas BatchNormalization takes neither a mask nor batch "
            f"renormalisation. Received: layer={layer.name!r}"
        )
    x = at_least_float32(ops.convert_to_tensor(inputs))
    axes = [axis for axis in range(len(x.shape)) if axis != layer.axis % len(x.shape)]
    shape = [1] * len(x.shape)
    shape[layer.axis] = -1
    mean, variance = _moments(x, axes)
    scale = ops.rsqrt(variance + layer.epsilon)
    if layer.gamma is not None:
        scale = scale * ops.cast(layer.gamma, x.dtype)
    offset = -mean * scale
    if layer.beta is not None:
        offset = offset + ops.cast(layer.beta, x.dtype)
    outputs = x * ops.reshape(scale, shape) + ops.reshape(offset, shape)
    for moving, batch in (layer.moving_mean, mean), (layer.moving_variance, variance):
        old = ops.cast(moving, batch.dtype)
        moving.assign(old * layer.momentum + ops.stop_gradient(batch) * (1.0 - layer.momentum))
    return ops.cast(outputs, layer.compute_dtype)


def _moments(x: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    """The mean (C,) and the biased variance (C,) of all replicas' values."""
    total = ops.sum(x, axis=axes, keepdims=True)
    count = ops.cast(ops.size(x) // ops.size(total), x.dtype)
    own = total / ops.maximum(count, 1.0)  # a replica may have no row
    spread = ops.sum(ops.square(x - own), axis=axes)
    own = ops.reshape(own, (-1,))
    row = ops.concatenate([ops.reshape(count, (1,)), own, spread])[None]
    rows = backend.all_gather(row, [1] * backend.replica_count())
    counts, means, spreads = ops.split(rows, [1, 1 + own.shape[0]], axis=1)
    counts = ops.stop_gradient(counts)
    everywhere = ops.sum(counts)
    mean = ops.sum(counts * means, axis=0) / everywhere
    apart = counts * ops.square(means - mean)
    return mean, ops.sum(spreads + apart, axis=0) / everywhere


def is_over_replicas(layer: keras.Layer) -> bool:
    """Whether a layer takes the statistics of all replicas now."""
    call = vars(layer).get("call")
    return isinstance(call, partial) and call.func is _call


@contextmanager
def over_replicas(model: keras.Layer) -> Iterator[None]:
    """A model whose BatchNorm layers take the statistics of all replicas, for this block.

    The layers stay what they are, in class, variables and config: a model saved meanwhile is the
    same.

    Args:
        model: whose layers are meant.

    Raises:
        ValueError: for a BatchNorm of a class of its own, which may compute something else.
    """
    known = (keras.layers.BatchNormalization, BatchNormalization)
    found = [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and not is_over_replicas(layer)
    ]
    for layer in found:
        if type(layer) not in known:
            raise ValueError(
                "Over several replicas only Keras' own BatchNormalization and "
                "keras_ccsam.layers.BatchNormalization can be synchronised; with "
                "batch_norm_sync='replica' the model leaves its layers alone. "
                f"Received: layer={layer.name!r} of the class {type(layer).__name__}"
            )
    for layer in found:
        layer.call = partial(_call, layer)
    try:
        yield
    finally:
        for layer in found:
            del layer.call
