"""ImbSAM: the loss of the tail classes alone is perturbed, and weighs more.

    T    = { c : n_c < threshold }
    tail = reduce_i( [y_i in T] l_i )
    eps  = rho grad tail(w) / ||grad tail(w)||
    step = grad (L - tail)(w) + tail_weight grad tail(w + eps)

With a threshold above every count, and without regularisers, it is SAM on `tail_weight` times the
loss; with threshold 0 it is the plain step. Regularisers are outside the ascent (partial_loss.py).

The released code keeps the BatchNorm updates of both passes; here, as everywhere in this package,
only the clean pass counts.

References:
    Zhou, Yixuan, et al., ImbSAM: A Closer Look at Sharpness-Aware Minimization in
    Class-Imbalanced Recognition, ICCV 2023; the factor 2 is that of the released code.
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
class ImbSAM(SharpnessMethod):
    """Sharpness-aware minimisation of the tail classes' loss.

    Args:
        class_counts: the number of images of each class in the *training set*.
        rho: radius of the ball, at least 0. A variable. 0.05 by default, the published value.
        threshold: classes with fewer images are the tail. 20 by default, the published value for
            CIFAR-100-LT, where the rarest class has 5 images and the most frequent 500.
        tail_weight: times the tail's gradient, at least 0. A variable. 2 by default, the published
            value.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync_perturbation: under a `tf.distribute` strategy, ascend along the gradient of the
            global batch, so that the result does not depend on the number of replicas.

    Raises:
        ValueError: if a count is below 1, `rho`, `threshold` or `tail_weight` is negative, or the
            head's classes are not as many as the counts.
    """

    rho: keras.Variable
    tail_weight: keras.Variable

    def __init__(
        self,
        class_counts: Sequence[int],
        rho: float = 0.05,
        threshold: int = 20,
        tail_weight: float = 2.0,
        *,
        adaptive: bool = False,
        sync_perturbation: bool = True,
    ) -> None:
        self.class_counts = check_class_counts(class_counts)
        require(rho >= 0, "rho", rho, "at least 0")
        require(threshold >= 0, "threshold", threshold, "at least 0")
        require(tail_weight >= 0, "tail_weight", tail_weight, "at least 0")
        self._rho, self._tail_weight = float(rho), float(tail_weight)
        self.threshold = threshold
        self.adaptive = adaptive
        self.sync_perturbation = sync_perturbation

    def build(self, model: keras.Model) -> None:
        """Creates `rho` and `tail_weight`, which a callback may assign."""
        check_counts_of_head(self.class_counts, model.num_classes)
        self._tail = constants([float(count < self.threshold) for count in self.class_counts])
        self.rho = hyper_parameter(model, "rho", self._rho)
        self.tail_weight = hyper_parameter(model, "tail_weight", self._tail_weight)

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """Two forward and three backward passes. The loss reported is the clean one."""
        return partial_loss_gradient(
            objective,
            ops.convert_to_tensor(self._tail),
            self.rho,
            weight=ops.convert_to_tensor(self.tail_weight),
            adaptive=self.adaptive,
            sync_perturbation=self.sync_perturbation,
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "class_counts": list(self.class_counts),
            "rho": self._rho,
            "threshold": self.threshold,
            "tail_weight": self._tail_weight,
            "adaptive": self.adaptive,
            "sync_perturbation": self.sync_perturbation,
        }
