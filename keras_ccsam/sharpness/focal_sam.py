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
from typing import Annotated

from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.global_batch import ascent_numbers
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod, constants
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.sharpness.partial_loss import partial_loss_gradient
from keras_ccsam.sharpness.shared_options import Adaptive, Sync
from keras_ccsam.typing import Tensor


@part("sharpness", "focal_sam", limit=Limit("erm", strength=0.0, tolerance=1e-5))
class FocalSAM(SharpnessMethod):
    """Sharpness-aware minimisation of the class-weighted loss.

    Args:
        class_counts: the number of images of each class in the *training set*.
        rho: radius of the ball. A variable. The default is the published value for CIFAR-10-LT;
            0.3 on CIFAR-100-LT (ratio 100).
        gamma: the larger, the smaller the share of the frequent classes. A variable. The default
            is the published value for CIFAR-10-LT; 3.2 on CIFAR-100-LT.
        strength: lambda, the largest share. A variable. The default is the published value for
            CIFAR-10-LT; 0.8 on CIFAR-100-LT. Above 1, as published for iNaturalist, the
            unperturbed loss of the rarest classes is subtracted.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync: on several replicas, `"global"` ascends along the gradient of the global batch, so
            that the result does not depend on their number; `"replica"` lets each ascend along its
            own rows', which sends nothing for it and is another method ("m-sharpness").

    Raises:
        ValueError: if a count is below 1, `rho`, `gamma` or `strength` is negative, or the head's
            classes are not as many as the counts.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        rho: Annotated[
            float, Field(ge=0, description="radius (code: 0.2 CIFAR-10, 0.3 CIFAR-100)"), VARIABLE
        ] = 0.2,
        gamma: Annotated[
            float, Field(ge=0, description="of (1 - pi_c)^gamma (code: 3.0, 3.2)"), VARIABLE
        ] = 3.0,
        strength: Annotated[
            float, Field(ge=0, description="lambda (code: 0.5 CIFAR-10, 0.8 CIFAR-100)"), VARIABLE
        ] = 0.5,
        *,
        adaptive: Adaptive = False,
        sync: Sync = "global",
    ) -> None:
        super().__init__(
            class_counts=class_counts,
            rho=rho,
            gamma=gamma,
            strength=strength,
            adaptive=adaptive,
            sync=sync,
        )

    def bind(self, model: Learner) -> Options:
        """As its base, and 1 - pi_c of each class."""
        options = super().bind(model)
        total = sum(self.class_counts)
        options.others = constants([1.0 - count / total for count in self.class_counts])
        return options

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """The ascent gradient."""
        return ascent_numbers(model.trainable_variables, self.get_config()["sync"])

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """Two forward and three backward passes. The loss reported is the clean one."""
        gamma, strength = (ops.convert_to_tensor(v) for v in (options.gamma, options.strength))
        return partial_loss_gradient(
            objective,
            strength * ops.power(ops.convert_to_tensor(options.others), gamma),
            options.rho,
            adaptive=options.adaptive,
            sync=options.sync,
        )
