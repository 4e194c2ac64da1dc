"""The class-balanced loss: cross-entropy or focal loss, weighted by class.

    L = sum_i u_{y_i} l_i / sum_i u_{y_i},    l = CE, or with gamma > 0 the focal loss
    L = sum_i u_{y_i} l_i / B,    l_i = sum_k (1 - p_ik)^gamma (-log p_ik)      with a sigmoid,
                                  p_ik = sigmoid(z_ik) for k = y_i, else sigmoid(-z_ik)
    L = sum_i u_{y_i} l_i / B,    l_i = -(log p_iy + sum_{k != y} log(1 - p_ik)) / C
                                  with "softmax_binary", p the softmax
    u_c = C (1 - beta)/(1 - beta^n_c) / sum_k (1 - beta)/(1 - beta^n_k)

or, with other `weights`, what losses/class_weights.py names, with sum_c u_c = C as well.

Cui et al., "Class-balanced loss based on effective number of samples" (arXiv:1901.05555).
The sum is divided by the batch's weights, not by its size, as torch's weighted cross-entropy
does, which the LDAM-DRW code relies on: the two differ by a factor that changes with every batch.
The authors' own focal loss has a sigmoid per class, and divides by the batch's size. Widely copied
code of theirs, weight balancing's (Alshammari et al., CVPR 2022) included, calls the last one
"softmax": a binary cross-entropy of each probability of one softmax, averaged over the classes, so
that its gradients are smaller by about their number.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeAlias

from keras import ops
from pydantic import Field

from keras_ccsam.checks import require
from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.class_weights import ClassWeights, Power, class_weights
from keras_ccsam.losses.effective_number import BETA, EffectiveBeta
from keras_ccsam.losses.focal import focal_factor, focal_of_each_class, sigmoid_focal
from keras_ccsam.losses.loss import ClassCountLoss, constant, of_label
from keras_ccsam.typing import Tensor

Activation: TypeAlias = Literal["softmax", "sigmoid", "softmax_binary"]


@part(
    "loss",
    "class_balanced",
    limit=Limit("cross_entropy", beta=0.0, gamma=0.0, activation="softmax", tolerance=1e-5),
    trials=(
        {
            **{"beta": 0.99, "gamma": 0.5, "weights": "effective_number", "power": 0.5},
            "activation": "softmax",
        },
        {
            **{"beta": 0.99, "gamma": 1.0, "weights": "effective_number", "power": 0.5},
            "activation": "sigmoid",
        },
        {
            **{"beta": 0.99, "gamma": 0.0, "weights": "effective_number", "power": 0.5},
            "activation": "softmax_binary",
        },
    ),
)
class ClassBalanced(ClassCountLoss):
    """Cross-entropy or focal loss, weighted by class.

    `call` returns B u_i l_i / sum_j u_j for a batch of B samples, so that the ordinary mean over
    the batch is the weighted mean. A sample's value thus depends on the labels beside it.
    `sample_weight` is applied after that, and does not enter the sum.

    Args:
        class_counts: n_c, the number of training images of each class.
        beta: in [0, 1); 0 weighs all classes alike.
        gamma: of the focal loss, at least 0; 0 is cross-entropy.
        weights: a name of `losses.CLASS_WEIGHTS`; `beta` belongs to the effective number alone.
        power: of `weights="auto"`, in [0, 1].
        activation: `"softmax"`, or `"sigmoid"`, the authors' own, for which the classifier's bias
            wants to begin at -log(C - 1), or `"softmax_binary"`, without a gamma.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if an option is out of range, a class count is not a whole number of at least
            1, or `"softmax_binary"` has a gamma.
    """

    beta: float
    gamma: float
    weights: ClassWeights
    power: float
    activation: Activation

    def __init__(
        self,
        class_counts: Sequence[int],
        beta: EffectiveBeta = BETA,
        gamma: Annotated[
            float, Field(ge=0, description="above 0: on the focal loss (CB-focal)")
        ] = 0.0,
        weights: Annotated[
            ClassWeights, Field(description="of the classes, by name (paper: effective_number)")
        ] = "effective_number",
        power: Power = 1.0,
        activation: Annotated[
            Activation,
            Field(
                description="one softmax, a sigmoid for each class (code), or binary losses of one "
                "softmax (code of weight balancing)"
            ),
        ] = "softmax",
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "class_balanced",
        dtype: Any = None,
    ) -> None:
        options: dict[str, Any] = {"beta": beta, "gamma": gamma, "weights": weights, "power": power}
        options["activation"] = activation
        super().__init__(class_counts, reduction, name, dtype, **options)
        binary = self.activation == "softmax_binary"
        require(not binary or not self.gamma, "gamma", gamma, "0 with activation='softmax_binary'")
        self.class_weights = class_weights(self.class_counts, self.weights, self.beta, self.power)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Values (B,) of one-hot rows (B, K) and logits (B, K); their mean is the weighted one."""
        if self.activation == "sigmoid":
            weights = of_label(targets, constant(self.class_weights, outputs))
            return weights * sigmoid_focal(targets, outputs, self.gamma)
        if self.activation == "softmax_binary":
            weights = of_label(targets, constant(self.class_weights, outputs))
            return weights * _binary(targets, outputs)
        weights = self.row_weights(targets)
        losses = of_label(targets, focal_of_each_class(outputs, self.gamma))
        return losses * weights / ops.mean(weights)

    def row_weights(self, targets: Tensor) -> Tensor:
        """(B,) u_{y_i} of one-hot rows (B, K): the loss divides by their mean over the batch.

        Without the one softmax it divides by none, which the mean of ones is.
        """
        if self.activation != "softmax":
            return ops.ones_like(targets[:, 0])
        return of_label(targets, constant(self.class_weights, targets))


def _binary(targets: Tensor, logits: Tensor) -> Tensor:
    """(B,): the mean over the classes of each probability's binary cross-entropy."""
    log_p = ops.log_softmax(logits, axis=-1)
    log_others = ops.log(focal_factor(log_p, 1.0))
    return -ops.mean(targets * log_p + (1.0 - targets) * log_others, axis=-1)
