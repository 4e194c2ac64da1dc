"""Label smoothing, and at values near 1 label over-smoothing (LOS).

    L = (1 - s) (-log p_y) + s mean_c (-log p_c),    p = softmax(z)
      = -sum_c q_c log p_c,    q_y = 1 - s + s / K,    q_c = s / K  for the other classes

At the 0.98 of LOS and K = 100 the label has 0.03 and each other class 0.0098: little more than a
uniform target. The logits of all classes stay small, those of the frequent ones too, without any
class count. It trains the second stage; a whole network does not learn from such targets.

Label-aware smoothing with equal `head` and `tail` is the same.

Szegedy et al., "Rethinking the Inception architecture for computer vision" (arXiv:1512.00567).
Sun et al., "Rethinking Classifier Re-Training in Long-Tailed Recognition: Label Over-Smooth Can
Balance", ICLR 2025.
"""

from typing import Annotated, Any

from keras import ops
from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.loss import LogitLoss, of_label
from keras_ccsam.typing import Tensor


@part(
    "loss",
    "label_smoothing",
    limit=Limit("cross_entropy", smoothing=0.0, tolerance=1e-5),
    trials=({"smoothing": 0.98},),
)
class LabelSmoothing(LogitLoss):
    """Cross-entropy with a share of every label spread over all classes.

    Args:
        smoothing: s, in [0, 1); 0 is cross-entropy. 0.1 is usual for a whole network, 0.98 is the
            published value of LOS for a classifier trained again.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `smoothing` is out of range.
    """

    samples_independent = True
    smoothing: float

    def __init__(
        self,
        smoothing: Annotated[
            float, Field(ge=0, lt=1, description="share that all classes share (LOS: 0.98)")
        ] = 0.1,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "label_smoothing",
        dtype: Any = None,
    ) -> None:
        super().__init__(reduction, name, dtype, smoothing=smoothing)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and logits (B, K)."""
        return smoothed(targets, outputs, self.smoothing)


def smoothed(targets: Tensor, logits: Tensor, share: Tensor | float) -> Tensor:
    """(B,): cross-entropies of labels of which a `share`, one or (B,), is spread over all classes.

    Args:
        targets: one-hot rows (B, K).
        logits: (B, K).
        share: s.
    """
    log_p = ops.log_softmax(logits, axis=-1)
    return -(1.0 - share) * of_label(targets, log_p) - share * ops.mean(log_p, axis=-1)
