"""Convolutions whose outputs a pass keeps, for a later one of the same images and weights."""

import contextlib
from collections.abc import Iterator, Sequence

import keras
from keras import ops

from keras_ccsam.training.stand_ins import Call, stood_in
from keras_ccsam.typing import Tensor


@contextlib.contextmanager
def kept(layers: Sequence[keras.layers.Conv2D]) -> Iterator[list[list[Tensor]]]:
    """In this block the layers keep what they convolve to, in the lists it gives, call by call.

    Args:
        layers: each once, with the channels last.
    """
    seen: list[list[Tensor]] = [[] for _ in layers]

    def keep(layer: keras.layers.Conv2D, outputs: list[Tensor]) -> Call:
        def call(inputs: Tensor) -> Tensor:
            out = layer.convolution_op(inputs, ops.convert_to_tensor(layer.kernel))
            outputs.append(out)
            out = out if layer.bias is None else out + layer.bias
            return out if layer.activation is None else layer.activation(out)

        return call

    with stood_in(layers, [keep(*pair) for pair in zip(layers, seen, strict=True)]):
        yield seen
