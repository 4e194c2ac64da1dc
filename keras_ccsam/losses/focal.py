"""The focal loss, for one softmax over all classes.

    L = (1 - p_y)^gamma (-log p_y),    p = softmax(z)

Lin et al., "Focal loss for dense object detection" (arXiv:1708.02002), eq. 4, there for a sigmoid.
Samples that are right already count less.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_ccsam.checks import require
from keras_ccsam.losses.loss import LogitLoss, of_label
from keras_ccsam.typing import Tensor

_TINY = 1e-12  # 1 - p_y is kept from 0, where a power below 1 has no derivative


@keras.saving.register_keras_serializable(package="keras_ccsam")
class Focal(LogitLoss):
    """Cross-entropy times (1 - p_y)^gamma.

    Args:
        gamma: at least 0. 2 by default, as in the paper; 0 is cross-entropy.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `gamma` is negative.
    """

    samples_independent = True

    def __init__(
        self,
        gamma: float = 2.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "focal",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype)
        self.gamma = check_gamma(gamma)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and logits (B, K)."""
        return of_label(targets, focal_of_each_class(outputs, self.gamma))

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "gamma": self.gamma}


def focal_of_each_class(logits: Tensor, gamma: float) -> Tensor:
    """(B, K): the focal loss that a sample would have if the class were its label."""
    log_p = ops.log_softmax(logits, axis=-1)
    return -log_p if gamma == 0.0 else -focal_factor(log_p, gamma) * log_p


def focal_factor(log_p: Tensor, gamma: float) -> Tensor:
    """(1 - p)^gamma from log p, exact where p is near 1."""
    return ops.power(ops.maximum(-ops.expm1(log_p), _TINY), gamma)


def check_gamma(gamma: float) -> float:
    """The exponent as a float; `ValueError` if it is negative or infinite."""
    require(0.0 <= gamma < math.inf, "gamma", gamma, "a number of at least 0")
    return float(gamma)
