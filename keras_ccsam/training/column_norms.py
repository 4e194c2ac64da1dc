"""A bound on the norms of a classifier's columns, held in every step.

v_c <- min(1, bound / ||v_c||) v_c          after the optimizer's update
"""

import copy
import math
from collections.abc import Sequence

import keras
from keras import ops

from keras_ccsam.checks import at_least_float32
from keras_ccsam.sharpness.method import Learner, constants
from keras_ccsam.training.step_parts import Projection
from keras_ccsam.typing import Tensor


class ColumnNorms(Projection):
    """Projects a kernel onto columns of norms up to a bound. `callbacks.MaxNorm` adds it.

    Args:
        kernel: (D, K), a variable of the model.

    Attributes:
        bound: scalar variable of the bound part; infinite at first.
    """

    saving = "remade"
    bound: keras.Variable

    def __init__(self, kernel: keras.Variable) -> None:
        self._kernel = kernel

    def bind(self, model: Learner) -> "ColumnNorms":
        """A copy with a bound of its own."""
        bound = copy.copy(self)
        bound.bound = constants(math.inf)
        bound.variables = [bound.bound]
        return bound

    def projected(self, values: list[Tensor], variables: Sequence[keras.Variable]) -> list[Tensor]:
        """The kernel's value with its long columns shortened."""
        bound = ops.convert_to_tensor(self.bound)
        return [
            capped(value, bound) if variable is self._kernel else value
            for variable, value in zip(variables, values, strict=True)
        ]


def column_norms(kernel: Tensor) -> Tensor:
    """(K,): the Euclidean norms of the columns of a kernel (D, K), in at least float32."""
    return ops.sqrt(ops.sum(ops.square(at_least_float32(kernel)), axis=0))


def capped(kernel: Tensor, bound: Tensor | float) -> Tensor:
    """A kernel (D, K) with every column shortened to the bound; those within it bit for bit."""
    norms = column_norms(kernel)
    factors = ops.minimum(1.0, ops.cast(bound, norms.dtype) / ops.maximum(norms, 1e-30))
    return kernel * ops.cast(factors, kernel.dtype)
