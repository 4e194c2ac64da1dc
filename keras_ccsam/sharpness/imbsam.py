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


@part("sharpness", "imbsam", limit=Limit("erm", threshold=0, tolerance=1e-5))
class ImbSAM(SharpnessMethod):
    """Sharpness-aware minimisation of the tail classes' loss.

    Args:
        class_counts: the number of images of each class in the *training set*.
        rho: radius of the ball. A variable.
        threshold: classes with fewer images are the tail. The published value is for
            CIFAR-100-LT, where the rarest class has 5 images and the most frequent 500.
        tail_weight: times the tail's gradient. A variable.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync: on several replicas, `"global"` ascends along the gradient of the global batch, so
            that the result does not depend on their number; `"replica"` lets each ascend along its
            own rows', which sends nothing for it and is another method ("m-sharpness").

    Raises:
        ValueError: if a count is below 1, `rho`, `threshold` or `tail_weight` is negative, or the
            head's classes are not as many as the counts.
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        rho: Annotated[
            float,
            Field(ge=0, description="radius, in units of the weights (code: 0.05)"),
            VARIABLE,
        ] = 0.05,
        threshold: Annotated[
            int,
            Field(
                ge=0,
                description="images; a class with fewer is of the tail (code: 20 on CIFAR-100)",
            ),
        ] = 20,
        tail_weight: Annotated[
            float, Field(ge=0, description="factor on the tail's loss (code: 2)"), VARIABLE
        ] = 2.0,
        *,
        adaptive: Adaptive = False,
        sync: Sync = "global",
    ) -> None:
        super().__init__(
            class_counts=class_counts,
            rho=rho,
            threshold=threshold,
            tail_weight=tail_weight,
            adaptive=adaptive,
            sync=sync,
        )

    def bind(self, model: Learner) -> Options:
        """As its base, and 1 for each class of the tail."""
        options = super().bind(model)
        options.tail = constants([float(n < options.threshold) for n in self.class_counts])
        return options

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """The ascent gradient."""
        return ascent_numbers(model.trainable_variables, self.get_config()["sync"])

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """Two forward and three backward passes. The loss reported is the clean one."""
        return partial_loss_gradient(
            objective,
            ops.convert_to_tensor(options.tail),
            options.rho,
            weight=ops.convert_to_tensor(options.tail_weight),
            adaptive=options.adaptive,
            sync=options.sync,
        )
