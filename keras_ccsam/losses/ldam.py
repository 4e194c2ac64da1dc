"""LDAM: a margin for each class, the larger the rarer the class.

    L   = CE(s (cos theta - m_y onehot(y)), y)
    m_c = m_max (n_min / n_c)^(1/4)                       so that the rarest class has m_max

Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss"
(arXiv:1906.07413), and their code for the normalised head and s. The margin is in
cosines, so the loss owns s: where the head has a scale too, the two must agree or the margin is
off, an error that has been made more than once.
"""

from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.loss import CosineLoss, Scale, constant, cross_entropy
from keras_ccsam.typing import Tensor


@part(
    "loss",
    "ldam",
    limit=Limit("cross_entropy", max_margin=0.0, tolerance=1e-5),
    trials=({"max_margin": 0.3, "scale": 12.0},),
)
class LDAM(CosineLoss):
    """Cross-entropy of scaled cosines with a margin on the label's.

    The head must put out plain cosines: `heads.Cosine(units, scale=1.0)`. Deferred re-weighting
    (DRW) is apart from this loss: see `effective_number_weights`.

    Args:
        class_counts: n_c, the number of training images of each class.
        max_margin: m_max, of the rarest class, in [0, 2): cosines span 2.
        scale: s, above 0.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `max_margin` or `scale` is out of range, or a class count is not a whole
            number of at least 1.
    """

    samples_independent = True
    max_margin: float

    def __init__(
        self,
        class_counts: Sequence[int],
        max_margin: Annotated[
            float, Field(ge=0, lt=2, description="of the rarest class (code: 0.5)")
        ] = 0.5,
        scale: Scale = 30.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "ldam",
        dtype: Any = None,
    ) -> None:
        given = {"max_margin": max_margin, "scale": scale}
        super().__init__(class_counts, reduction, name, dtype, **given)
        least = min(self.class_counts)
        self.margins = tuple(self.max_margin * (least / n) ** 0.25 for n in self.class_counts)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and cosines (B, K)."""
        lowered = outputs - targets * constant(self.margins, outputs)
        return cross_entropy(targets, self.scale * lowered)
