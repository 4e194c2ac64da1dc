"""Dense layers that, while a pass is traced, note their inputs and shift their outputs."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from keras_ccsam.heads import DenseClosedForm
from keras_ccsam.training.stand_ins import Call, stood_in
from keras_ccsam.typing import Tensor


@contextlib.contextmanager
def tapped(
    layers: Sequence[keras.layers.Dense], shifts: Sequence[Callable[[Tensor], Tensor]]
) -> Iterator[list[Tensor]]:
    """In this block the layers note their inputs, in the list it gives, and shift their outputs.

    Args:
        layers: plain Dense layers, each once.
        shifts: for each, what is added to its output before the activation, of its input.
    """
    seen: list[Any] = [None] * len(layers)

    def tap(position: int) -> Call:
        layer, shift = layers[position], shifts[position]

        def call(inputs: Tensor) -> Tensor:
            seen[position] = inputs
            outputs = DenseClosedForm(layer).logits(inputs) + shift(inputs)
            return layer.activation(outputs)

        return call

    with stood_in(layers, [tap(position) for position in range(len(layers))]):
        yield seen
