"""Focal-SAM: each class is perturbed in a share that falls with its frequency.

    k_c  = strength (1 - pi_c)^gamma,    pi_c = n_c / sum_j n_j
    part = reduce_i( k_{y_i} l_i )
    eps  = rho grad part(w) / ||grad part(w)||
    step = grad (L - part)(w) + grad part(w + eps)

Without regularisers gamma 0 and strength 1 are SAM; strength 0 is the plain step. Regularisers are
outside the ascent (partial_loss.py). With many classes every 1 - pi_c is near 1 (above 0.95 on
CIFAR-100-LT), so that strength matters and gamma hardly does.

References:
    Li et al., Focal-SAM: Focal Sharpness-Aware Minimization for Long-Tailed Classification,
    ICML 2025.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ccsam.checks import check_class_counts, check_counts_of_head, require
from keras_ccsam.sharpness.method import (
    Evaluation,
    Objective,
    SharpnessMethod,
    constants,
    hyper_parameter,
)
from keras_ccsam.sharpness.partial_loss import partial_loss_gradient
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class FocalSAM(SharpnessMethod):
    """Sharpness-aware minimisation of the class-weighted loss.

    Args:
        class_counts: the number of images of each class in the *training set*.
        rho: radius of the ball, at least 0. A variable. 0.05 by default; published: 0.2 on
            CIFAR-10-LT, 0.3 on CIFAR-100-LT (ratio 100).
        gamma: at least 0; the larger, the smaller the share of the frequent classes. A variable.
            3 by default, the published value for CIFAR-10-LT (3.2 on CIFAR-100-LT).
        strength: lambda, at least 0, the largest share. A variable. 0.5 by default, the published
            value for CIFAR-10-LT (0.8 on CIFAR-100-LT). Above 1, as published for iNaturalist,
            the unperturbed loss of the rarest classes is subtracted.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync_perturbation: under a `tf.distribute` strategy, ascend along the gradient of the
            global batch, so that the result does not depend on the number of replicas.

    Raises:
        ValueError: if a count is below 1, `rho`, `gamma` or `strength` is negative, or the head's
            classes are not as many as the counts.
    """

    rho: keras.Variable
    gamma: keras.Variable
    strength: keras.Variable

    def __init__(
        self,
        class_counts: Sequence[int],
        rho: float = 0.05,
        gamma: float = 3.0,
        strength: float = 0.5,
        *,
        adaptive: bool = False,
        sync_perturbation: bool = True,
    ) -> None:
        self.class_counts = check_class_counts(class_counts)
        require(rho >= 0, "rho", rho, "at least 0")
        require(gamma >= 0, "gamma", gamma, "at least 0")
        require(strength >= 0, "strength", strength, "at least 0")
        self._rho, self._gamma, self._strength = float(rho), float(gamma), float(strength)
        self.adaptive = adaptive
        self.sync_perturbation = sync_perturbation

    def build(self, model: keras.Model) -> None:
        """Creates `rho`, `gamma` and `strength`, which a callback may assign."""
        check_counts_of_head(self.class_counts, model.num_classes)
        total = sum(self.class_counts)
        self._others = constants([1.0 - count / total for count in self.class_counts])
        self.rho = hyper_parameter(model, "rho", self._rho)
        self.gamma = hyper_parameter(model, "gamma", self._gamma)
        self.strength = hyper_parameter(model, "strength", self._strength)

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """Two forward and three backward passes. The loss reported is the clean one."""
        gamma, strength = (ops.convert_to_tensor(v) for v in (self.gamma, self.strength))
        return partial_loss_gradient(
            objective,
            strength * ops.power(ops.convert_to_tensor(self._others), gamma),
            self.rho,
            adaptive=self.adaptive,
            sync_perturbation=self.sync_perturbation,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_counts": list(self.class_counts),
            "rho": self._rho,
            "gamma": self._gamma,
            "strength": self._strength,
            "adaptive": self.adaptive,
            "sync_perturbation": self.sync_perturbation,
        }
