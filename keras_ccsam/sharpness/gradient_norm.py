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

from typing import Annotated, Literal

from keras import ops
from pydantic import Field

from keras_ccsam import backend
from keras_ccsam.declare import Limit, part
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.ascent import worst_point
from keras_ccsam.sharpness.global_batch import ascent_numbers, summed_ascent
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod, global_norm
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.sharpness.shared_options import Sync
from keras_ccsam.typing import Tensor


@part(
    "sharpness",
    "gradient_norm",
    limit=Limit("sam", share=1.0, radius=0.05, tolerance=1e-5),
    trials=({"variant": "equation"}, {"variant": "published"}),
)
class GradientNorm(SharpnessMethod):
    """The gradient of the loss with a penalty on the norm of its gradient.

    BatchNorm statistics, seeds, metrics and the loss reported are those of the pass at w.
    Regularisers are part of both passes, weight decay of the model is outside.

    Args:
        radius: r, how far away the second gradient is taken; 0.1 in the published recipe. A
            variable.
        share: a, the share of the second gradient; 0.8 in the published recipe. A variable.
        variant: `"equation"` or `"published"`; see above.
        sync: on several replicas, `"global"` ascends along the gradient of the global batch, so
            that the result does not depend on their number; `"replica"` lets each ascend along its
            own rows', which sends nothing for it and is another method ("m-sharpness").

    Raises:
        ValueError: if `radius` is negative, `share` lies outside [0, 1] or there is no such
            variant.
    """

    def __init__(
        self,
        radius: Annotated[
            float, Field(ge=0, description="r of the finite difference (code: 0.1)"), VARIABLE
        ] = 0.1,
        share: Annotated[
            float, Field(ge=0, le=1, description="alpha, penalty over r (code: 0.8)"), VARIABLE
        ] = 0.8,
        variant: Annotated[
            Literal["equation", "published"],
            Field(description="what alpha is mixed with: g, or as the code has it g / |g|"),
        ] = "equation",
        *,
        sync: Sync = "global",
    ) -> None:
        super().__init__(radius=radius, share=share, variant=variant, sync=sync)

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """The ascent gradient."""
        return ascent_numbers(model.trainable_variables, self.get_config()["sync"])

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """Two passes. The loss reported is that of the first."""
        clean, evaluation = objective.gradient(objective.values)
        ascent = summed_ascent(clean, objective.batch, options.sync)
        objective.replay()
        moved = worst_point(objective.values, ascent, options.radius)
        sharp, _ = objective.gradient(moved)
        if options.variant == "published":
            clean = _unit(ascent, objective.scale)
        share = ops.convert_to_tensor(options.share)
        mixed = [
            ops.cast(1.0 - share, c.dtype) * c + ops.cast(share, s.dtype) * s
            for c, s in zip(clean, sharp, strict=True)
        ]
        return mixed, evaluation


def _unit(ascent: list[Tensor], scale: Tensor) -> list[Tensor]:
    """g1 / ||g1||, as a gradient that is yet to be unscaled and summed over the replicas."""
    norm = global_norm(ascent)
    factor = ops.cast(scale, norm.dtype) / ops.maximum(norm, 1e-30) / backend.replica_count()
    factor = ops.where(norm > 0, factor, 0.0)
    return [ops.cast(factor, g.dtype) * g for g in ascent]
