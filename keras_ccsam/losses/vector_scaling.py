"""The vector-scaling (VS) loss: logits of rare classes are divided as well as shifted.

    L = CE(z / Delta + tau log pi, y),    Delta_c = (n_max / n_c)^gamma,    pi_c = n_c / N

Kini et al., "Label-imbalanced and group-sensitive classification under overparameterization"
(arXiv:2103.01550). The shift acts early in training, the factor in the end, when the logits
have grown. Predictions of a trained model are its plain outputs.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.logit_adjustment import TAU, Adjustment, log_prior
from keras_ccsam.losses.loss import ClassCountLoss, constant, cross_entropy
from keras_ccsam.typing import Tensor


@part(
    "loss",
    "vector_scaling",
    limit=Limit("logit_adjustment", gamma=0.0, tau=1.0, tolerance=1e-5),
    trials=({"gamma": 0.2, "tau": 0.7},),
)
class VectorScaling(ClassCountLoss):
    """Cross-entropy of logits that are divided by Delta and raised by tau log pi.

    Args:
        class_counts: n_c, the number of training images of each class.
        gamma: exponent of Delta, at least 0; 0 is `LogitAdjustment(tau)`.
        tau: strength of the shift, at least 0.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `gamma` or `tau` is negative, or a class count is not a whole number of at
            least 1.
    """

    samples_independent = True
    adjusts_prior = True
    gamma: float
    tau: float

    def __init__(
        self,
        class_counts: Sequence[int],
        gamma: Annotated[
            float, Field(ge=0, description="of (n_max / n_c)^gamma (paper: 0.3)")
        ] = 0.3,
        tau: Adjustment = TAU,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "vector_scaling",
        dtype: Any = None,
    ) -> None:
        super().__init__(class_counts, reduction, name, dtype, gamma=gamma, tau=tau)
        self.log_prior = log_prior(self.class_counts)
        most = max(self.class_counts)
        self.divisors = tuple((most / count) ** self.gamma for count in self.class_counts)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and logits (B, K)."""
        scaled = outputs / constant(self.divisors, outputs)
        return cross_entropy(targets, scaled + self.tau * constant(self.log_prior, outputs))
