"""Layers that compute a batch whose samples have weights of their own.

Sample i's weights are  w + lengths[slots[i]] rows[slots[i]],  of as many rows as there are classes.
A layer's rule computes that for the whole batch at once, so all that has no such weights runs as in
any other step. Where there is no rule for a layer, the network is vectorised over samples instead
(`backend.sample_gradients`).
"""

import contextlib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from keras_ccsam import backend
from keras_ccsam.checks import at_least_float32
from keras_ccsam.layers.fast import stock_type
from keras_ccsam.training.stand_ins import stood_in
from keras_ccsam.typing import Tensor


class Moves(NamedTuple):
    """How far the weights of a batch's samples are moved.

    Attributes:
        weights: by the identity of each variable that is moved, its value in its own type.
        rows: (R, *shape), likewise, the directions; constants.
        lengths: (R,), how far along them. None: the rows are zeros, and only differentiated by.
        slots: (B,), each sample's row.
        outputs: without `lengths`, what convolutions are known to give, by their identity.
    """

    weights: Mapping[int, Tensor]
    rows: Mapping[int, Tensor]
    lengths: Tensor | None
    slots: Tensor
    outputs: Mapping[int, Tensor]


def movable(layer: keras.Layer) -> bool:
    """Whether there is a rule for this layer."""
    kind = stock_type(layer)
    if getattr(layer, "quantization_mode", None) or getattr(layer, "lora_enabled", False):
        return False
    if kind is layers.Conv2D:
        return layer.data_format == "channels_last" and layer.groups == 1
    if kind in (layers.BatchNormalization, layers.GroupNormalization):
        return layer.axis == -1
    if kind is layers.LayerNormalization:
        return layer.axis in (-1, [-1], (-1,)) and not layer.rms_scaling
    if kind is layers.EinsumDense:
        return _contracted_axes(layer) > 0
    return kind is layers.Dense


def ruled_parts(layer: keras.Layer) -> list[keras.Layer]:
    """The layer if there is a rule for it, or the ones inside that hold its weights."""
    if stock_type(layer) is layers.MultiHeadAttention:
        parts = [layer.query_dense, layer.key_dense, layer.value_dense, layer.output_dense]
    else:
        parts = [layer]
    return [part for part in parts if movable(part)]


def moved_convolutions(
    movable_layers: Sequence[keras.Layer], variables: Sequence[keras.Variable]
) -> list[keras.Layer]:
    """Those whose kernels are among the variables, if there are rules for all of these."""
    ruled = {id(each) for layer in movable_layers for each in layer.trainable_variables}
    chosen = {id(each) for each in variables}
    if not chosen <= ruled:
        return []
    convolutions = [layer for layer in movable_layers if stock_type(layer) is layers.Conv2D]
    return [layer for layer in convolutions if id(layer.kernel) in chosen]


@contextlib.contextmanager
def moved(movable_layers: Sequence[keras.Layer], moves: Moves) -> Iterator[None]:
    """In this block those layers compute each sample with its own weights."""
    touched = [
        layer
        for layer in movable_layers
        if any(id(variable) in moves.rows for variable in layer.trainable_variables)
    ]
    with stood_in(touched, [partial(_RULES[stock_type(layer)], layer, moves) for layer in touched]):
        yield


def _convolution(layer: Any, moves: Moves, x: Tensor) -> Tensor:
    x = ops.convert_to_tensor(x)
    window = (layer.strides, layer.padding, layer.dilation_rate)
    if id(layer.kernel) in moves.rows:
        known = moves.outputs.get(id(layer))
        out = _convolved(moves, layer.kernel, x, layer.kernel.shape, window, known)
    else:
        out = layer.convolution_op(x, _value(layer.kernel))
    return _finished(layer, moves, out)


def _dense(layer: Any, moves: Moves, x: Tensor) -> Tensor:
    """A product of the last axes with the first ones of the kernel: a convolution of one pixel."""
    x = ops.convert_to_tensor(x)
    axes = _contracted_axes(layer)
    places, features, units = x.shape[1:-axes], layer.kernel.shape[:axes], layer.kernel.shape[axes:]
    if id(layer.kernel) in moves.rows:
        shape = (1, 1, math.prod(features), math.prod(units))
        images = ops.reshape(x, (-1, math.prod(places), 1, shape[2]))
        out = _convolved(moves, layer.kernel, images, shape, _ONE_PIXEL)
        out = ops.reshape(out, (-1, *places, *units))
    else:
        out = ops.tensordot(x, _value(layer.kernel), axes)
    return _finished(layer, moves, out)


def _contracted_axes(layer: Any) -> int:
    """How many axes a dense layer sums over; 0 where it is more than a product of matrices."""
    if stock_type(layer) is layers.Dense:
        return 1
    inputs, kernel, outputs = re.split(",|->", layer.equation)
    axes = sum(axis not in outputs for axis in kernel)
    kept, units = inputs[: len(inputs) - axes], kernel[axes:]
    product = (inputs, outputs) == (kept + kernel[:axes], kept + units) and "." not in inputs
    apart = not {*kept} & {*kernel} and (layer.bias is None or layer.bias_axes == units)
    return axes if product and apart else 0


def _convolved(
    moves: Moves,
    kernel: keras.Variable,
    x: Tensor,
    shape: Sequence[int],
    window: Any,
    known: Tensor | None = None,
) -> Tensor:
    """Images with a kernel that is moved, as one of this shape."""
    rows, still = moves.rows[id(kernel)], moves.lengths is None
    own = ops.reshape(moves.weights[id(kernel)], shape)
    rows = ops.reshape(ops.cast(rows, x.dtype) if still else rows, (-1, *shape))
    strides, padding, dilation = window
    return backend.moved_convolution(
        x, own, rows, moves.lengths, moves.slots, strides, padding, dilation, known
    )


def _finished(layer: Any, moves: Moves, out: Tensor) -> Tensor:
    """With bias and activation."""
    if layer.bias is not None:
        out = out + _own(moves, layer.bias, out)
    return out if layer.activation is None else layer.activation(out)


def _batch_normalization(layer: Any, moves: Moves, x: Tensor) -> Tensor:
    """In inference mode, in which alone samples do not see each other."""
    mean, variance = (_value(v) for v in (layer.moving_mean, layer.moving_variance))
    mean, variance = (ops.cast(v, x.dtype) for v in (mean, variance))
    scale = ops.rsqrt(variance + layer.epsilon)
    return ops.cast(_scaled(layer, moves, x, mean, scale), layer.compute_dtype)


def _group_normalization(layer: Any, moves: Moves, x: Tensor) -> Tensor:
    wide = at_least_float32(x)
    normal = backend.group_normalization(wide, layer.groups, layer.epsilon)
    if normal is not None:
        return ops.cast(_affine(layer, moves, normal), layer.compute_dtype)
    places, channels = x.shape[1:-1], x.shape[-1]
    size = math.prod(places)
    groups = ops.reshape(wide, (-1, size, layer.groups, channels // layer.groups))
    mean, variance = ops.moments(groups, axes=(1, 3), keepdims=True)
    one = (-1, *(1 for _ in places), channels)
    scale = ops.rsqrt(variance + layer.epsilon)
    mean, scale = (
        ops.reshape(ops.broadcast_to(v, (ops.shape(v)[0], 1, *groups.shape[2:])), one)
        for v in (mean, scale)
    )
    return ops.cast(_scaled(layer, moves, wide, mean, scale), layer.compute_dtype)


def _layer_normalization(layer: Any, moves: Moves, x: Tensor) -> Tensor:
    wide = at_least_float32(x)
    centred = wide - ops.mean(wide, axis=-1, keepdims=True)
    variance = ops.mean(ops.square(centred), axis=-1, keepdims=True)
    normal = centred * ops.rsqrt(variance + layer.epsilon)
    return ops.cast(_affine(layer, moves, normal), layer.compute_dtype)


def _affine(layer: Any, moves: Moves, normal: Tensor) -> Tensor:
    if layer.scale:
        normal = normal * _own(moves, layer.gamma, normal)
    return normal + _own(moves, layer.beta, normal) if layer.center else normal


def _scaled(layer: Any, moves: Moves, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    """(x - mean) scale gamma + beta, in two passes over x."""
    if layer.scale:
        scale = scale * _own(moves, layer.gamma, x)
    shift = -mean * scale
    if layer.center:
        shift = shift + _own(moves, layer.beta, x)
    return x * scale + shift


def _own(moves: Moves, variable: keras.Variable, like: Tensor) -> Tensor:
    """A vector or so, or each sample's own in the shape that goes with `like`."""
    value, rows = ops.cast(_value(variable), like.dtype), moves.rows.get(id(variable))
    if rows is None:
        return value
    own = value + ops.take(ops.cast(moved_by(rows, moves.lengths), like.dtype), moves.slots, axis=0)
    ones = [1] * (len(like.shape) - len(own.shape))
    return ops.reshape(own, (-1, *ones, *own.shape[1:]))


def moved_by(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """What rows (R, ...) are moved by."""
    if lengths is None:
        return rows
    return ops.reshape(ops.cast(lengths, rows.dtype), (-1, *([1] * (len(rows.shape) - 1)))) * rows


def _value(variable: keras.Variable) -> Tensor:
    return ops.convert_to_tensor(variable)


_ONE_PIXEL = ((1, 1), "valid", (1, 1))

_RULES: dict[type, Callable[[Any, Moves, Tensor], Tensor]] = {
    layers.BatchNormalization: _batch_normalization,
    layers.Conv2D: _convolution,
    layers.Dense: _dense,
    layers.EinsumDense: _dense,
    layers.GroupNormalization: _group_normalization,
    layers.LayerNormalization: _layer_normalization,
}
