"""The characteristic radius of a class.

    rho_c = r ( ||w|| / (2 ||g_c||) )^(1/2)  k^(-1/4)  (n_c - 1)^(-1/4)

(CC-SAM, appendix, Eqn 1), where the ascent term sqrt(k) rho ||g|| and the complexity term
||w|| / (2 rho sqrt(n - 1)) of the bound are equal at r = 1. The bound's ball has radius
sqrt(k) rho, so that is the length of the step. The rarer the class, the longer.
"""

from typing import NamedTuple

import keras
from keras import ops

from keras_ccsam.typing import Tensor


def characteristic_radius(
    weight_norm: Tensor, gradient_norm: Tensor, class_counts: Tensor, size: int
) -> Tensor:
    """rho_c at r = 1.

    Args:
        weight_norm: scalar, ||w|| over all perturbed tensors together.
        gradient_norm: (...,), ||g_c||.
        class_counts: (...,), n_c, the class's number of *training* images.
        size: k, the number of scalars in w.

    Returns:
        (...,). 0 where ||g_c|| is 0: a class that is fitted perfectly, or masked out, has no
        direction to step in. n_c = 1 counts as 2, the factor being infinite otherwise.
    """
    others = ops.maximum(class_counts - 1.0, 1.0)
    positive = ops.greater(gradient_norm, 0.0)
    safe = ops.where(positive, gradient_norm, ops.ones_like(gradient_norm))
    radius = ops.sqrt(weight_norm / (2.0 * safe)) * ops.power(size * others, -0.25)
    return ops.where(positive, radius, 0.0)


def step_length(radius: Tensor, size: int) -> Tensor:
    """sqrt(k) rho: the radius of the ball that Theorem 1 takes the maximum over."""
    return float(size) ** 0.5 * radius


class ClassSteps(NamedTuple):
    """How far each class of a batch is moved, and what its loss is there.

    Attributes:
        counts: (K,), n_c.
        radius_scale: scalar, r.
        per_tensor: whether each perturbed tensor takes a step of its own, by the norm of its own
            gradient; ||w|| and k stay those of all.
        unmixed: whether the loss there is that of a mixed batch's first labels alone.
    """

    counts: keras.Variable | Tensor
    radius_scale: keras.Variable | Tensor
    per_tensor: bool = False
    unmixed: bool = False

    def length(self, weight_norm: Tensor, norm: Tensor, labels: Tensor, size: int) -> Tensor:
        """sqrt(k) r rho_c, for labels of any shape.

        Args:
            weight_norm: scalar, ||w||.
            norm: (...,), ||g_c||.
            labels: (...,), the classes.
            size: k.
        """
        counts = ops.take(ops.cast(self.counts, norm.dtype), labels)
        radius = characteristic_radius(weight_norm, norm, counts, size)
        return ops.cast(self.radius_scale, norm.dtype) * step_length(radius, size)
