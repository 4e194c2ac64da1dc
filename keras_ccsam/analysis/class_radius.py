"""The class-conditional radius of the whole set, in float64 (`sharpness.class_conditional.radius`).

    rho_c = ( ||w|| / (2 ||g_c||) )^(1/2)  k^(-1/4)  (n_c - 1)^(-1/4)      at r = 1
    ||eps_c|| = r sqrt(k) rho_c

Training takes g_c over the samples of a batch; here it is over all of them.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from keras_ccsam.analysis.loss_surface import LossSurface
from keras_ccsam.analysis.weighted_batches import WeightedBatch, WeightedBatches


@dataclasses.dataclass(frozen=True)
class ClassStep:
    """How far a class's weights are moved, and along what.

    Attributes:
        weight_norm: ||w||.
        gradient: (k,) g_c, the gradient of the class's mean loss.
        gradient_norm: ||g_c||.
        radius: rho_c at r = 1; 0 where the gradient is 0.
        length: sqrt(k) rho_c, the length of the step at r = 1.
    """

    weight_norm: float
    gradient: np.ndarray
    gradient_norm: float
    radius: float
    length: float

    def move(self, length: float) -> np.ndarray:
        """(k,) the step of a length along the gradient; 0 where there is none."""
        if not self.gradient_norm:
            return np.zeros_like(self.gradient)
        return length / self.gradient_norm * self.gradient


def characteristic_radius(
    weight_norm: float, gradient_norm: float, images: int, size: int
) -> float:
    """rho_c at r = 1 in float64, as `sharpness.class_conditional.radius` has it in a step.

    Args:
        weight_norm: ||w||.
        gradient_norm: ||g_c||; 0 gives the radius 0.
        images: n_c; 1 counts as 2.
        size: k.
    """
    if not gradient_norm > 0:
        return 0.0
    others = max(images - 1, 1)
    return float(np.sqrt(weight_norm / (2 * gradient_norm)) * (size * others) ** -0.25)


def step_of(surface: LossSurface, batches: Sequence[WeightedBatch], images: int) -> ClassStep:
    """The step of one class.

    Args:
        surface: the loss as a function of w.
        batches: the class's samples, with weights that add up to 1.
        images: n_c, its training images.
    """
    weight_norm = float(np.linalg.norm(surface.weights))
    gradient = surface.gradient(batches)
    norm = float(np.linalg.norm(gradient))
    radius = characteristic_radius(weight_norm, norm, images, surface.size)
    return ClassStep(weight_norm, gradient, norm, radius, surface.size**0.5 * radius)


def class_batches(
    x: Any, labels: np.ndarray, classes: Sequence[int], batch_size: int
) -> Iterator[tuple[int, WeightedBatches]]:
    """Each class that has samples, with its batches; the weights are those of its mean."""
    for label in classes:
        own = labels == label
        if own.any():
            yield label, WeightedBatches(x, labels, own / own.sum(), batch_size)
