"""A clean pass, the batch statistics that its BatchNorm layers normalised by, and its convolutions.

BatchNorm tells its statistics only as m old + (1 - m) batch. With zeros in place of the old moving
statistics the batch's are read without loss, and the true update is formed afterwards:
a layer in training mode normalises by the batch alone.
"""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_ccsam.sharpness.objective import CleanPass, Evaluation, Outputs
from keras_ccsam.typing import Tensor


def clean_pass(
    gradient: Callable[..., tuple[list[Tensor], Evaluation, list[list[Tensor]]]],
    values: Sequence[Tensor],
    side_variables: Sequence[keras.Variable],
    layers: Sequence[keras.layers.BatchNormalization],
    convolutions: Sequence[keras.Layer],
    term: Callable[[Outputs], Tensor],
) -> tuple[list[Tensor], Evaluation, CleanPass]:
    """The gradient at `values`, each moving statistic with the batch's own, and outputs.

    Args:
        gradient: the objective's, of values, a term, the state to run with and `convolutions`; it
            gives what these convolved to, too, call by call.
        values: of the trainable variables.
        side_variables: those whose updates an evaluation lists.
        layers: all of them in training mode, called once, with a momentum below 1, as
            `coupling.py` makes sure.
        convolutions: those whose outputs are wanted.
        term: see `Objective.gradient`.
    """
    moving = [
        (variable, float(layer.momentum))
        for layer in layers
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    old = [ops.convert_to_tensor(variable) for variable, _ in moving]
    zeros = [(v, ops.zeros_like(value)) for (v, _), value in zip(moving, old, strict=True)]
    gradients, evaluation, outputs = gradient(values, term, zeros, convolutions)

    position = {id(variable): i for i, variable in enumerate(side_variables)}
    updates = list(evaluation.updates)
    statistics = []
    for (variable, m), before in zip(moving, old, strict=True):
        new = ops.cast(updates[position[id(variable)]], before.dtype)
        statistics.append((variable, ops.stop_gradient(new / (1.0 - m))))
        updates[position[id(variable)]] = before * m + new
    # A layer that is called several times has several outputs.
    found = zip(convolutions, outputs, strict=True)
    once = [(layer, each[0]) for layer, each in found if len(each) == 1]
    return gradients, evaluation._replace(updates=updates), CleanPass(statistics, once)
