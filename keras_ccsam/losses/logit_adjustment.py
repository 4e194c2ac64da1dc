"""Logit adjustment, and balanced softmax, which is logit adjustment with tau = 1.

    L = CE(z + tau log pi, y),    pi_c = n_c / N
    post hoc, for a model trained with cross-entropy:  argmax_c  z_c - tau log pi_c

Menon et al., "Long-tail learning via logit adjustment" (arXiv:2007.07314), eqs. 10 and 9;
Ren et al., "Balanced meta-softmax" (arXiv:2007.10740), which has log n_c: the same loss, as a
softmax does not see a constant. Predictions of a model trained with either are its plain outputs.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
from keras import ops
from pydantic import Field

from keras_ccsam.checks import check_class_counts
from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.loss import ClassCountLoss, constant, cross_entropy
from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor

Adjustment: TypeAlias = Annotated[float, Field(ge=0, description="of tau log pi (paper: 1)")]
TAU = 1.0  # of the losses and of what is done to a trained model


@part(
    "loss",
    "logit_adjustment",
    limit=Limit("cross_entropy", tau=0.0, tolerance=1e-5),
    trials=({"tau": 1.5},),
)
class LogitAdjustment(ClassCountLoss):
    """Cross-entropy of logits raised by tau log pi while training.

    Args:
        class_counts: n_c, the number of training images of each class.
        tau: strength, at least 0; 0 is cross-entropy.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `tau` is negative, or a class count is not a whole number of at least 1.
    """

    samples_independent = True
    adjusts_prior = True
    tau: float

    def __init__(
        self,
        class_counts: Sequence[int],
        tau: Adjustment = TAU,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "logit_adjustment",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_counts, reduction, name, dtype, tau=tau)
        self.log_prior = log_prior(self.class_counts)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and logits (B, K)."""
        return cross_entropy(targets, outputs + self.tau * constant(self.log_prior, outputs))


@part("loss", "balanced_softmax", limit=Limit("logit_adjustment"))
class BalancedSoftmax(LogitAdjustment):
    """CE(z + log n, y): `LogitAdjustment` with tau = 1.

    Args:
        class_counts: n_c, the number of training images of each class.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if a class count is not a whole number of at least 1.
    """

    samples_independent = True

    def __init__(
        self,
        class_counts: Sequence[int],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "balanced_softmax",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_counts, 1.0, reduction, name, dtype)


def adjust_logits(logits: Tensor, class_counts: Sequence[int], tau: Adjustment = TAU) -> Tensor:
    """Post-hoc logit adjustment, z - tau log pi: no training is needed.

    Args:
        logits: (..., K), of a model trained with plain cross-entropy, or its log-probabilities:
            numpy or tensors.
        class_counts: n_c, the number of *training* images of each class.
        tau: strength, at least 0; 0 changes nothing.

    Returns:
        (..., K): a numpy array for a numpy array, else a tensor; at least as wide as float32 in
        numpy.

    Raises:
        ValueError: if `tau` is negative, or the class counts are not K whole numbers above 0.
    """
    tau = checked(adjust_logits, {"tau": tau})["tau"]
    shift = np.multiply(tau, log_prior(class_counts))
    is_array = isinstance(logits, np.ndarray)
    if not is_array:
        logits = ops.convert_to_tensor(logits)
    if len(logits.shape) == 0 or logits.shape[-1] != len(shift):
        raise ValueError(
            f"`class_counts` has {len(shift)} classes, so `logits` must have as many columns. "
            f"Received: logits.shape={tuple(logits.shape)}"
        )
    if is_array:
        return logits - shift.astype(np.result_type(logits, np.float32))
    return logits - ops.convert_to_tensor(shift, dtype=logits.dtype)


def log_prior(class_counts: Sequence[int]) -> tuple[float, ...]:
    """log pi_c of each class, all below 0.

    Raises:
        ValueError: if a class count is not a whole number of at least 1.
    """
    counts = check_class_counts(class_counts)
    total = math.log(sum(counts))
    return tuple(math.log(count) - total for count in counts)
