"""The class-balanced loss: cross-entropy or focal loss, weighted by effective numbers.

    L = sum_i u_{y_i} l_i / sum_i u_{y_i},    l = CE, or with gamma > 0 the focal loss
    u_c = C (1 - beta)/(1 - beta^n_c) / sum_k (1 - beta)/(1 - beta^n_k)

Cui et al., "Class-balanced loss based on effective number of samples" (arXiv:1901.05555).
The sum is divided by the batch's weights, not by its size, as torch's weighted cross-entropy
does, which the LDAM-DRW code relies on: the two differ by a factor that changes with every batch.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.effective_number import BETA, EffectiveBeta, effective_number_weights
from keras_ccsam.losses.focal import focal_of_each_class
from keras_ccsam.losses.loss import ClassCountLoss, constant, of_label
from keras_ccsam.typing import Tensor


@part(
    "loss",
    "class_balanced",
    limit=Limit("cross_entropy", beta=0.0, gamma=0.0, tolerance=1e-5),
    trials=({"beta": 0.99, "gamma": 0.5},),
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
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `beta` or `gamma` is out of range, or a class count is not a whole number of
            at least 1.
    """

    beta: float
    gamma: float

    def __init__(
        self,
        class_counts: Sequence[int],
        beta: EffectiveBeta = BETA,
        gamma: Annotated[
            float, Field(ge=0, description="above 0: on the focal loss (CB-focal)")
        ] = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "class_balanced",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_counts, reduction, name, dtype, beta=beta, gamma=gamma)
        self.class_weights = effective_number_weights(self.class_counts, self.beta)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Values (B,) of one-hot rows (B, K) and logits (B, K); their mean is the weighted one."""
        weights = of_label(targets, constant(self.class_weights, outputs))
        losses = of_label(targets, focal_of_each_class(outputs, self.gamma))
        return losses * weights / ops.mean(weights)
