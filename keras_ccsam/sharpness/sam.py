"""Sharpness-aware minimisation, and its scale-invariant form.

    SAM    eps = rho g / ||g||                      g = grad L(w), all weights jointly
    ASAM   eps = rho w^2 o g / || |w| o g ||
    step   grad L(w + eps)

BatchNorm statistics, seeds and metrics are those of the pass at w; the pass at w + eps draws the
same random masks. Weight decay of the model stays outside the ascent, kernel regularisers are
part of it.

References:
    Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021.
    Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, ICML 2021.
"""

from typing import Any

import keras

from keras_ccsam import backend
from keras_ccsam.checks import require
from keras_ccsam.sharpness.ascent import worst_point
from keras_ccsam.sharpness.method import Evaluation, Objective, SharpnessMethod, hyper_parameter
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class SAM(SharpnessMethod):
    """The gradient at the worst point, to first order, of a ball around the weights.

    Args:
        rho: radius of the ball; 0.05 by default, ten times that or more with `adaptive`. 0 is
            the plain gradient, at twice its cost.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync_perturbation: under a `tf.distribute` strategy, ascend along the gradient of the
            global batch, so that the result does not depend on the number of replicas.

    Raises:
        ValueError: if `rho` is negative.
    """

    rho: keras.Variable

    def __init__(
        self, rho: float = 0.05, *, adaptive: bool = False, sync_perturbation: bool = True
    ) -> None:
        require(rho >= 0, "rho", rho, "at least 0")
        self._rho = float(rho)
        self.adaptive = adaptive
        self.sync_perturbation = sync_perturbation

    def build(self, model: keras.Model) -> None:
        """Creates `rho`, which a callback may assign."""
        self.rho = hyper_parameter(model, "rho", self._rho)

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """Two passes. The loss reported is that of the first."""
        gradient, evaluation = objective.gradient(objective.values)
        if self.sync_perturbation:
            gradient = backend.all_reduce(gradient)
        objective.replay()
        moved = worst_point(objective.values, gradient, self.rho, self.adaptive)
        gradient, _ = objective.gradient(moved)
        return gradient, evaluation

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "rho": self._rho,
            "adaptive": self.adaptive,
            "sync_perturbation": self.sync_perturbation,
        }
