"""The gradient-norm penalty: the loss plus a multiple of the norm of its gradient.

    L(w) + penalty ||grad L(w)||    has, to first order and with a = penalty / r, the gradient
    (1 - a) g1 + a g2               g1 = grad L(w),  g2 = grad L(w + r g1 / ||g1||)

At a = 1 it is SAM with rho = r, at a = 0 the plain step. The published code mixes, unless it is
told otherwise, the *unit* vector g1 / ||g1|| in place of g1:

    (1 - a) g1 / ||g1|| + a g2

which takes a step of about 1 - a even where the loss is flat. Both are offered; the equation is
the default.

References:
    Zhao et al., Penalizing Gradient Norm for Efficiently Improving Generalization in Deep
    Learning, ICML 2022.
"""

from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.checks import require
from keras_ccsam.sharpness.ascent import worst_point
from keras_ccsam.sharpness.method import (
    Evaluation,
    Objective,
    SharpnessMethod,
    global_norm,
    hyper_parameter,
)
from keras_ccsam.typing import Tensor

_VARIANTS = ("equation", "published")


@keras.saving.register_keras_serializable(package="keras_ccsam")
class GradientNorm(SharpnessMethod):
    """The gradient of the loss with a penalty on the norm of its gradient.

    BatchNorm statistics, seeds, metrics and the loss reported are those of the pass at w.
    Regularisers are part of both passes, weight decay of the model is outside.

    Args:
        radius: r, at least 0: how far away the second gradient is taken. A variable. 0.05 by
            default; 0.1 in the published recipe.
        share: a in [0, 1], the share of the second gradient. A variable. 0.8 by default, as in
            the published recipe.
        variant: `"equation"` (the default) or `"published"`; see above.
        sync_perturbation: under a `tf.distribute` strategy, move along the gradient of the
            global batch, so that the result does not depend on the number of replicas.

    Raises:
        ValueError: if `radius` is negative, `share` lies outside [0, 1] or there is no such
            variant.
    """

    radius: keras.Variable
    share: keras.Variable

    def __init__(
        self,
        radius: float = 0.05,
        share: float = 0.8,
        variant: str = "equation",
        *,
        sync_perturbation: bool = True,
    ) -> None:
        require(radius >= 0, "radius", radius, "at least 0")
        require(0 <= share <= 1, "share", share, "between 0 and 1")
        require(variant in _VARIANTS, "variant", variant, f"one of {_VARIANTS}")
        self._radius, self._share = float(radius), float(share)
        self.variant = variant
        self.sync_perturbation = sync_perturbation

    def build(self, model: keras.Model) -> None:
        """Creates `radius` and `share`, which a callback may assign."""
        self.radius = hyper_parameter(model, "radius", self._radius)
        self.share = hyper_parameter(model, "share", self._share)

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """Two passes. The loss reported is that of the first."""
        clean, evaluation = objective.gradient(objective.values)
        ascent = backend.all_reduce(clean) if self.sync_perturbation else clean
        objective.replay()
        moved = worst_point(objective.values, ascent, self.radius)
        sharp, _ = objective.gradient(moved)
        if self.variant == "published":
            clean = self._unit(ascent, objective.scale)
        share = ops.convert_to_tensor(self.share)
        mixed = [
            ops.cast(1.0 - share, c.dtype) * c + ops.cast(share, s.dtype) * s
            for c, s in zip(clean, sharp, strict=True)
        ]
        return mixed, evaluation

    def _unit(self, ascent: list[Tensor], scale: Tensor) -> list[Tensor]:
        """g1 / ||g1||, as a gradient that is yet to be unscaled and summed over the replicas."""
        norm = global_norm(ascent)
        factor = ops.cast(scale, norm.dtype) / ops.maximum(norm, 1e-30) / backend.replica_count()
        factor = ops.where(norm > 0, factor, 0.0)
        return [ops.cast(factor, g.dtype) * g for g in ascent]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            "radius": self._radius,
            "share": self._share,
            "variant": self.variant,
            "sync_perturbation": self.sync_perturbation,
        }
