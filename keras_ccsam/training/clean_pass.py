"""A clean pass, and the batch statistics that its BatchNorm layers normalised by.

BatchNorm tells its statistics only as m old + (1 - m) batch. With zeros in place of the old moving
statistics the batch's are read without loss, and the true update is formed afterwards:
a layer in training mode normalises by the batch alone.
"""

from collections.abc import Callable, Sequence

import keras
from keras import ops

from keras_ccsam.sharpness.objective import Evaluation, Outputs
from keras_ccsam.typing import Tensor


def clean_pass_with_statistics(
    gradient: Callable[..., tuple[list[Tensor], Evaluation]],
    values: Sequence[Tensor],
    side_variables: Sequence[keras.Variable],
    layers: Sequence[keras.layers.BatchNormalization],
    term: Callable[[Outputs], Tensor],
) -> tuple[list[Tensor], Evaluation, list[tuple[keras.Variable, Tensor]]]:
    """The gradient at `values`, and each moving statistic with the batch's own.

    Args:
        gradient: the objective's, of values, a term and the state to run with.
        values: of the trainable variables.
        side_variables: those whose updates an evaluation lists.
        layers: all of them in training mode, called once, with a momentum below 1, as
            `coupling.py` makes sure.
        term: see `Objective.gradient`.
    """
    moving = [
        (variable, float(layer.momentum))
        for layer in layers
        for variable in (layer.moving_mean, layer.moving_variance)
    ]
    old = [ops.convert_to_tensor(variable) for variable, _ in moving]
    zeros = [(v, ops.zeros_like(value)) for (v, _), value in zip(moving, old, strict=True)]
    gradients, evaluation = gradient(values, term, zeros)

    position = {id(variable): i for i, variable in enumerate(side_variables)}
    updates = list(evaluation.updates)
    statistics = []
    for (variable, m), before in zip(moving, old, strict=True):
        new = ops.cast(updates[position[id(variable)]], before.dtype)
        statistics.append((variable, ops.stop_gradient(new / (1.0 - m))))
        updates[position[id(variable)]] = before * m + new
    return gradients, evaluation._replace(updates=updates), statistics
