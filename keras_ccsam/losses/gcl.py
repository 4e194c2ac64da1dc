"""GCL, Gaussian clouded logits: noise on the cosines, the more the rarer the class.

    L       = (1 - p_y)^focal CE(s (c~ - m onehot(y)), y)
    c~_k    = cos theta_k - a |xi_k| delta_k,    xi ~ N(0, 1/3) cut to [-1, 1], 1/3 its deviation
    delta_k = (log n_max - log n_k) / (log n_max - log n_min)

Li et al., "Long-tailed visual recognition via Gaussian clouded logit adjustment" (CVPR 2022,
arXiv:2305.11733), and their code for the absolute value, the margin and the focal
factor, in which p_y is a constant. Fresh noise for every sample and class, and for each label of a
mixed sample; none at inference.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.checks import at_least_float32
from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.focal import focal_factor
from keras_ccsam.losses.loss import CosineLoss, Scale, constant, cross_entropy
from keras_ccsam.typing import Tensor

_DEVIATION = 1.0 / 3.0


@part(
    "loss",
    "gcl",
    limit=Limit("cross_entropy", amplitude=0.0, margin=0.0, focal=0.0, tolerance=1e-5),
    trials=({"amplitude": 0.7, "margin": 0.1, "scale": 12.0, "focal": 0.5},),
)
class GCL(CosineLoss):
    """Cross-entropy of scaled cosines that noise has lowered.

    `call` draws nothing: it is the loss of the cosines that it is given. The model draws `noise`
    once per step and applies it by `with_noise`, so that every pass of a sharpness method sees the
    same. `SharpnessAwareModel` does so; under a plain `keras.Model` no noise is drawn.

    The head must put out plain cosines: `heads.Cosine(units, scale=1.0)`.

    Args:
        class_counts: n_c, the number of training images of each class. Where all are equal, no
            class gets noise.
        amplitude: a, at least 0.
        margin: m, the same for every label, in [0, 2); 0.1 in stage 2.
        scale: s, above 0; 20 in stage 2 on CIFAR.
        focal: exponent of the factor 1 - p_y, at least 0; 1 in stage 2.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if a number is out of range, or a class count is not a whole number of at
            least 1.
    """

    amplitude: float
    margin: float
    focal: float

    def __init__(
        self,
        class_counts: Sequence[int],
        amplitude: Annotated[
            float, Field(ge=0, description="of the cloud (code: 0.5 on CIFAR)")
        ] = 0.5,
        margin: Annotated[
            float, Field(ge=0, lt=2, description="m (code: 0 in stage 1, 0.1 in stage 2)")
        ] = 0.0,
        scale: Scale = 30.0,
        focal: Annotated[
            float, Field(ge=0, description="power of (1 - p_y) (code: 0; 1 in stage 2)")
        ] = 0.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "gcl",
        dtype: Any = None,
    ) -> None:
        given = {"amplitude": amplitude, "margin": margin, "scale": scale, "focal": focal}
        super().__init__(class_counts, reduction, name, dtype, **given)
        self.rarity = _rarity(self.class_counts)

    def noise(self, shape: Sequence[int], seed: Any) -> Tensor:
        """|xi| of shape (B, K), in [0, 1].

        Args:
            shape: (B, K), that of the cosines.
            seed: an integer, which gives the same draw each time, or a
                `keras.random.SeedGenerator`, which moves on.
        """
        drawn = keras.random.normal(shape, 0.0, _DEVIATION, dtype=self.dtype, seed=seed)
        return ops.minimum(ops.abs(drawn), 1.0)

    def with_noise(self, y_pred: Tensor, noise: Tensor) -> Tensor:
        """The cosines (B, K) lowered by a |xi| delta, in at least float32."""
        cosines = at_least_float32(ops.convert_to_tensor(y_pred))
        depth = self.amplitude * constant(self.rarity, cosines)
        return cosines - depth * ops.cast(noise, cosines.dtype)

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and cosines (B, K), as they are."""
        losses = cross_entropy(targets, self.scale * (outputs - self.margin * targets))
        if self.focal == 0.0:
            return losses
        return focal_factor(-ops.stop_gradient(losses), self.focal) * losses


def _rarity(counts: Sequence[int]) -> tuple[float, ...]:
    """delta of each class: 0 for the most frequent, 1 for the rarest."""
    logs = [math.log(count) for count in counts]
    most, span = max(logs), max(logs) - min(logs)
    return tuple(0.0 if span == 0.0 else (most - log) / span for log in logs)
