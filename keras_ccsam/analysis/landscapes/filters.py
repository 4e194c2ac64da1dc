"""Which weights of a network a direction moves, and what a filter of each is.

A filter is what makes one output unit: a column of a Dense kernel, a kernel of a convolution, the
spatial kernel of one channel of a depthwise one, a row of an embedding. Biases, the vectors of
normalisations and weights whose filters are single numbers do not move: scaled to their own size
they would become plus or minus themselves, which is no random direction.

References:
    Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018 (section 4).
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam.layers.walk import all_layers

_NORMALIZATIONS = tuple(
    kind
    for name in (
        "BatchNormalization",
        "GroupNormalization",
        "LayerNormalization",
        "RMSNormalization",
    )
    if (kind := getattr(keras.layers, name, None)) is not None
)
_DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
_TRANSPOSED = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
)

Axes = tuple[int, ...] | None
"""The axes of a weight that number its filters; None for a weight that does not move."""


def filter_axes(model: Any, variables: Sequence[keras.Variable]) -> list[Axes]:
    """The axes of each variable that number its filters; None where it does not move.

    Args:
        model: the layer or model that holds the variables.
        variables: its trainable variables.
    """
    owners: dict[int, Any] = {}
    # Layers come before those inside them, so the last one that has a variable is its own.
    for layer in all_layers(model):
        owners.update((id(variable), layer) for variable in layer.trainable_variables)
    return [_axes(variable, owners.get(id(variable))) for variable in variables]


def _axes(variable: keras.Variable, owner: Any) -> Axes:
    shape = tuple(variable.shape)
    rank = len(shape)
    if rank < 2 or variable.name == "bias" or isinstance(owner, _NORMALIZATIONS):
        return None
    axes: tuple[int, ...] = (rank - 1,)
    if isinstance(owner, keras.layers.Embedding):
        axes = (0,)
    elif isinstance(owner, _DEPTHWISE) or variable.name == "depthwise_kernel":
        axes = (rank - 2, rank - 1)
    elif isinstance(owner, _TRANSPOSED):
        axes = (rank - 2,)
    elif isinstance(owner, keras.layers.EinsumDense) and variable.name == "kernel":
        operands, outputs = owner.equation.replace(" ", "").split("->")
        kernel = operands.split(",")[1]
        axes = tuple(index for index, letter in enumerate(kernel) if letter in outputs)
    numbers = math.prod(size for axis, size in enumerate(shape) if axis not in axes)
    return axes if numbers > 1 else None


def filter_norms(values: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The Euclidean norm of each filter, in the shape that multiplies `values`."""
    others = tuple(axis for axis in range(values.ndim) if axis not in axes)
    return np.sqrt(np.sum(np.square(values), axis=others, keepdims=True))
