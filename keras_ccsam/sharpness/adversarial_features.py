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
from typing import Annotated, TypeAlias

from keras import ops
from pydantic import Field

from keras_ccsam import backend
from keras_ccsam import options as declared
from keras_ccsam.checks import check_class_counts
from keras_ccsam.declare import Limit, part
from keras_ccsam.heads import class_averages
from keras_ccsam.heads.closed_form import safe_divide
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.global_batch import synchronised
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod, constants
from keras_ccsam.sharpness.objective import Evaluation, Objective, Outputs
from keras_ccsam.sharpness.shared_options import Sync
from keras_ccsam.typing import Tensor

# Declared apart, because the second stage of a recipe has them, too.
Strength: TypeAlias = Annotated[
    float, Field(ge=0, description="length of a class's feature step (code: 1)")
]
RadiusWeights: TypeAlias = Annotated[
    bool, Field(description="scale that step by the class weight omega (code: yes)")
]
LossWeights: TypeAlias = Annotated[
    bool,
    Field(description="weight the adversarial loss by omega too (code: yes, and it collapses)"),
]
WeightDivisor: TypeAlias = Annotated[
    float,
    Field(gt=0, description="div in omega = log(n_max / n_c + 0.01) / div (code: 2 on CIFAR)"),
]


def adversarial_class_weights(
    class_counts: Sequence[int], weight_divisor: WeightDivisor = 2.0
) -> tuple[float, ...]:
    """omega_c = log(n_max / n_c + 0.01) / weight_divisor.

    Args:
        class_counts: n_c.
        weight_divisor: div.

    Raises:
        ValueError: if a count is below 1, or `weight_divisor` is not positive.
    """
    counts = check_class_counts(class_counts)
    divisor = declared.checked(adversarial_class_weights, {"weight_divisor": weight_divisor})[
        "weight_divisor"
    ]
    return tuple(math.log(max(counts) / count + 0.01) / divisor for count in counts)


# The divisor's default stands once, on the weights.
_WEIGHTS = declared.options(adversarial_class_weights)


@part(
    "sharpness",
    "adversarial_features",
    limit=Limit("erm", alpha=0.0),
    trials=({"alpha": 0.7},),
)
class AdversarialFeatures(SharpnessMethod):
    """The gradient of the loss on clean and on adversarial features.

    Args:
        class_counts: the number of images of each class in the training set.
        strength: s.
        radius_weights: multiply the radius by omega.
        loss_weights: multiply the adversarial loss by omega, as the published code does; see
            above.
        weight_divisor: div.
        alpha: the share of the adversarial loss; a variable that a ramp assigns.
        sync: on several replicas, the class groups B_c are those of the global batch (`"global"`)
            or of each replica (`"replica"`).

    Raises:
        ValueError: if a count is below 1, `strength` is negative, `weight_divisor` is not positive
            or `alpha` lies outside [0, 1].
    """

    def __init__(
        self,
        class_counts: Sequence[int],
        strength: Strength = 1.0,
        radius_weights: RadiusWeights = True,
        loss_weights: LossWeights = False,
        weight_divisor: WeightDivisor = _WEIGHTS["weight_divisor"].default,
        alpha: Annotated[
            float, Field(ge=0, le=1, description="share of the adversarial loss"), VARIABLE
        ] = 1.0,
        *,
        sync: Sync = "global",
    ) -> None:
        super().__init__(
            class_counts=class_counts,
            strength=strength,
            radius_weights=radius_weights,
            loss_weights=loss_weights,
            weight_divisor=weight_divisor,
            alpha=alpha,
            sync=sync,
        )

    def bind(self, model: Learner) -> Options:
        """As its base, and omega of each class."""
        options = super().bind(model)
        options.omega = constants(
            adversarial_class_weights(self.class_counts, options.weight_divisor)
        )
        return options

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """Each row's class and the square of its feature gradient."""
        return 2 * rows if self.get_config()["sync"] == "global" else 0

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """One pass, with two passes of the head inside."""
        return objective.gradient(
            objective.values, lambda outputs: _term(objective, options, outputs)
        )


def _term(objective: Objective, options: Options, outputs: Outputs) -> Tensor:
    """alpha (adversarial - clean)."""
    features = ops.stop_gradient(outputs.features)
    omega = ops.take(ops.cast(options.omega, features.dtype), objective.labels)

    def total(values: list[Tensor]) -> tuple[Tensor, tuple[()]]:
        return ops.sum(outputs.losses_of_features(values[0])), ()

    # The class mean's 1 / |B_c| cancels in the division by the group's norm.
    _, (ascent,) = backend.value_and_grad(total, [features])
    labels, square = objective.labels, ops.sum(ops.square(ascent), axis=1)
    batch = synchronised(objective.batch, options.sync)
    if batch is None:
        group = class_averages(labels, features.dtype)
    else:
        group = class_averages(labels, features.dtype, batch.gather(labels))
        square = batch.gather(square)
    size = 1.0 / ops.max(group, axis=1)
    norm = ops.sqrt(size * ops.matmul(group, square[:, None])[:, 0])
    radius = options.strength * (omega if options.radius_weights else ops.ones_like(omega))
    moved = ops.stop_gradient(features + safe_divide(radius, norm)[:, None] * ascent)

    objective.replay()
    adversarial = outputs.losses_of_features(moved)
    if options.loss_weights:
        adversarial = omega * adversarial
    alpha = ops.cast(options.alpha, features.dtype)
    return alpha * (outputs.reduce(adversarial) - outputs.reduce(outputs.sample_losses))
