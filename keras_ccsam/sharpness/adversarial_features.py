"""CC-SAM, stage 2: the classifier is retrained on features moved against it.

    a_i   = grad_{h_i} mean_{j in B_c} l_j, over its Frobenius norm for the whole class group B_c
    h'_i  = sg(h_i + s omega_{y_i} a_i)
    L     = alpha mean_i omega_{y_i} l(h'_i) + (1 - alpha) mean_i l(h_i)
    omega = log(n_max / n_c + 0.01) / div

The published code uses omega twice, in the radius and in the loss. In the loss it is small enough
for the head classes (0.005) that, once alpha reaches 1, they no longer count: at the last epoch
of a run on CIFAR-10-LT (ratio 100, ResNet-14, one seed) the three head classes were at 26 % and the
whole at 54.5 %, against 65.3 % with omega in the radius only. So these are two options, and the
second is off by default.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.checks import check_class_counts, require
from keras_ccsam.heads import class_averages
from keras_ccsam.heads.closed_form import safe_divide
from keras_ccsam.sharpness.method import (
    Evaluation,
    Objective,
    Outputs,
    SharpnessMethod,
    constants,
    hyper_parameter,
)
from keras_ccsam.typing import Tensor


def class_weights(class_counts: Sequence[int], divisor: float = 2.0) -> tuple[float, ...]:
    """omega_c = log(n_max / n_c + 0.01) / divisor.

    Args:
        class_counts: n_c.
        divisor: 2 by default, the published value for CIFAR.
    """
    counts = check_class_counts(class_counts)
    require(divisor > 0, "divisor", divisor, "positive")
    return tuple(math.log(max(counts) / count + 0.01) / divisor for count in counts)


@keras.saving.register_keras_serializable(package="keras_ccsam")
class AdversarialFeatures(SharpnessMethod):
    """The gradient of the loss on clean and on adversarial features.

    Args:
        class_counts: the number of images of each class in the training set.
        strength: s, 1 by default.
        radius_weights: multiply the radius by omega. True by default.
        loss_weights: multiply the adversarial loss by omega, as the published code does. False
            by default; see above.
        weight_divisor: div, 2 by default.
        alpha: the share of the adversarial loss; a variable that a ramp assigns. 1 by default.

    Raises:
        ValueError: if a count is below 1, `strength` is negative, `weight_divisor` is not positive
            or `alpha` lies outside [0, 1].
    """

    alpha: keras.Variable

    def __init__(
        self,
        class_counts: Sequence[int],
        strength: float = 1.0,
        radius_weights: bool = True,
        loss_weights: bool = False,
        weight_divisor: float = 2.0,
        alpha: float = 1.0,
    ) -> None:
        self.class_counts = check_class_counts(class_counts)
        require(strength >= 0, "strength", strength, "at least 0")
        require(0 <= alpha <= 1, "alpha", alpha, "between 0 and 1")
        require(weight_divisor > 0, "weight_divisor", weight_divisor, "positive")
        self.strength = float(strength)
        self.radius_weights = bool(radius_weights)
        self.loss_weights = bool(loss_weights)
        self.weight_divisor = float(weight_divisor)
        self._alpha = float(alpha)

    def build(self, model: keras.Model) -> None:
        """Creates `alpha`."""
        self.alpha = hyper_parameter(model, "alpha", self._alpha)
        self._omega = constants(class_weights(self.class_counts, self.weight_divisor))

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """One pass, with two passes of the head inside."""
        return objective.gradient(objective.values, lambda outputs: self._term(objective, outputs))

    def _term(self, objective: Objective, outputs: Outputs) -> Tensor:
        """alpha (adversarial - clean)."""
        features = ops.stop_gradient(outputs.features)
        omega = ops.take(ops.cast(self._omega, features.dtype), objective.labels)

        def total(values: list[Tensor]) -> tuple[Tensor, tuple[()]]:
            return ops.sum(outputs.losses_of_features(values[0])), ()

        # The class mean's 1 / |B_c| cancels in the division by the group's norm.
        _, (ascent,) = backend.value_and_grad(total, [features])
        group = class_averages(objective.labels, features.dtype)
        size = 1.0 / ops.max(group, axis=1)
        square = ops.sum(ops.square(ascent), axis=1)
        norm = ops.sqrt(size * ops.matmul(group, square[:, None])[:, 0])
        radius = self.strength * (omega if self.radius_weights else ops.ones_like(omega))
        moved = ops.stop_gradient(features + safe_divide(radius, norm)[:, None] * ascent)

        objective.replay()
        adversarial = outputs.losses_of_features(moved)
        if self.loss_weights:
            adversarial = omega * adversarial
        alpha = ops.cast(self.alpha, features.dtype)
        return alpha * (outputs.reduce(adversarial) - outputs.reduce(outputs.sample_losses))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_counts": list(self.class_counts),
            "strength": self.strength,
            "radius_weights": self.radius_weights,
            "loss_weights": self.loss_weights,
            "weight_divisor": self.weight_divisor,
            "alpha": self._alpha,
        }
