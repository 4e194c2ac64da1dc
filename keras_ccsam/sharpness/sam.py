"""Sharpness-aware minimisation, and its scale-invariant form.

    SAM    eps = rho g / ||g||                      g = grad L(w), all weights jointly
    ASAM   eps = rho w^2 o g / || |w| o g ||
    step   grad L(w + eps)

BatchNorm statistics, seeds and metrics are those of the pass at w; the pass at w + eps draws the
same random masks. Weight decay of the model stays outside the ascent, kernel regularisers are
part of it.

References:
    Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021.
    Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, ICML 2021.
"""

from typing import Annotated

from pydantic import Field

from keras_ccsam.declare import Limit, part
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.ascent import worst_point
from keras_ccsam.sharpness.global_batch import ascent_numbers, summed_ascent
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.sharpness.shared_options import Adaptive, Sync
from keras_ccsam.typing import Tensor


@part("sharpness", "sam", limit=Limit("erm", rho=0.0))
class SAM(SharpnessMethod):
    """The gradient at the worst point, to first order, of a ball around the weights.

    Args:
        rho: radius of the ball, in units of the weights; ten times SAM's or more with `adaptive`.
            0 is the plain gradient, at twice its cost. A variable.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync: on several replicas, `"global"` ascends along the gradient of the global batch, so
            that the result does not depend on their number; `"replica"` lets each ascend along its
            own rows', which sends nothing for it and is another method ("m-sharpness").

    Raises:
        ValueError: if `rho` is negative.
    """

    def __init__(
        self,
        rho: Annotated[
            float,
            Field(ge=0, description="radius, in units of the weights (SAM paper: 0.05)"),
            VARIABLE,
        ] = 0.05,
        *,
        adaptive: Adaptive = False,
        sync: Sync = "global",
    ) -> None:
        super().__init__(rho=rho, adaptive=adaptive, sync=sync)

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """The ascent gradient."""
        return ascent_numbers(model.trainable_variables, self.get_config()["sync"])

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """Two passes. The loss reported is that of the first."""
        gradient, evaluation = objective.gradient(objective.values)
        ascent = summed_ascent(gradient, objective.batch, options.sync)
        objective.replay()
        moved = worst_point(objective.values, ascent, options.rho, options.adaptive)
        gradient, _ = objective.gradient(moved)
        return gradient, evaluation


@part("sharpness", "asam", limit=Limit("erm", rho=0.0))
class ASAM(SAM):
    """SAM whose radius scales with each weight: `SAM` with `adaptive=True`.

    Args:
        rho: radius of the ball, relative to the weights. A variable.
        sync: see `SAM`.

    Raises:
        ValueError: if `rho` is negative.
    """

    def __init__(
        self,
        rho: Annotated[
            float, Field(ge=0, description="radius relative to the weights (ASAM: 0.5)"), VARIABLE
        ] = 0.5,
        *,
        sync: Sync = "global",
    ) -> None:
        super().__init__(rho, adaptive=True, sync=sync)

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        config = super().get_config()
        del config["adaptive"]
        return config
