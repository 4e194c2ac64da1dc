"""The focal loss, for one softmax over all classes.

    L = (1 - p_y)^gamma (-log p_y),    p = softmax(z)

Lin et al., "Focal loss for dense object detection" (arXiv:1708.02002), eq. 4, there for a sigmoid.
Samples that are right already count less.
"""

from typing import Annotated, Any

from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.loss import LogitLoss, of_label
from keras_ccsam.typing import Tensor

_TINY = 1e-12  # 1 - p_y is kept from 0, where a power below 1 has no derivative


@part(
    "loss",
    "focal",
    limit=Limit("cross_entropy", gamma=0.0, tolerance=1e-5),
    trials=({"gamma": 0.5},),
)
class Focal(LogitLoss):
    """Cross-entropy times (1 - p_y)^gamma.

    Args:
        gamma: at least 0; 0 is cross-entropy.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `gamma` is negative.
    """

    samples_independent = True
    gamma: float

    def __init__(
        self,
        gamma: Annotated[float, Field(ge=0, description="of (1 - p_y)^gamma (paper: 2)")] = 2.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "focal",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, gamma=gamma)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and logits (B, K)."""
        return of_label(targets, focal_of_each_class(outputs, self.gamma))


def focal_of_each_class(logits: Tensor, gamma: float) -> Tensor:
    """(B, K): the focal loss that a sample would have if the class were its label."""
    log_p = ops.log_softmax(logits, axis=-1)
    return -log_p if gamma == 0.0 else -focal_factor(log_p, gamma) * log_p


def sigmoid_focal(targets: Tensor, logits: Tensor, gamma: float) -> Tensor:
    """(B,): the focal loss of a sigmoid for each class, summed over the classes."""
    sided = (2.0 * targets - 1.0) * logits  # p is the probability of what is true of the class
    log_p = ops.log_sigmoid(sided)
    factor = 1.0 if gamma == 0.0 else ops.exp(gamma * ops.log_sigmoid(-sided))
    return ops.sum(-factor * log_p, axis=-1)


def focal_factor(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma from log p, exact where p is near 1."""
    return ops.power(ops.maximum(-ops.expm1(log_p), _TINY), gamma)
