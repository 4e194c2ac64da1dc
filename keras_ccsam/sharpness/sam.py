"""Sharpness-aware minimisation, and its scale-invariant form.

    SAM    eps = rho g / ||g||                      g = grad L(w), all weights jointly
    ASAM   eps = rho t^2 o g / || t o g ||          t = |w| + eta; 1 for biases
    step   grad L(w + eps)

BatchNorm statistics, seeds and metrics are those of the pass at w; the pass at w + eps draws the
same random masks. Weight decay of the model stays outside the ascent, kernel regularisers are
part of it.

References:
    Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization, ICLR 2021.
    Kwon et al., ASAM: Adaptive Sharpness-Aware Minimization, ICML 2021.
"""

from typing import Annotated

import keras
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
        moved = self.moved(objective, ascent, options)
        gradient, _ = objective.gradient(moved)
        return gradient, evaluation

    def moved(self, objective: Objective, ascent: list[Tensor], options: Options) -> list[Tensor]:
        """The weights at the worst point."""
        return worst_point(objective.values, ascent, options.rho, options.adaptive)


@part(
    "sharpness",
    "asam",
    limit=Limit("erm", rho=0.0),
    trials=({}, {"eta": 0.0, "weights_only": False}),
)
class ASAM(SAM):
    """SAM whose radius scales with each weight.

    With `eta=0` and `weights_only=False` it is `SAM` with `adaptive=True`.

    Args:
        rho: radius of the ball, relative to the weights. A variable.
        eta: added to a weight's size, so that one of 0 moves as well.
        weights_only: biases (and BatchNorm's beta) take part by their gradient alone, as in the
            authors' code, whatever their size.
        sync: see `SAM`.

    Raises:
        ValueError: if `rho` or `eta` is negative.
    """

    def __init__(
        self,
        rho: Annotated[
            float, Field(ge=0, description="radius relative to the weights (ASAM: 0.5)"), VARIABLE
        ] = 0.5,
        eta: Annotated[
            float, Field(ge=0, description="added to each weight's size (code: 0.01)")
        ] = 0.01,
        weights_only: Annotated[
            bool, Field(description="biases by their gradient alone, whatever their size (code)")
        ] = True,
        *,
        sync: Sync = "global",
    ) -> None:
        SharpnessMethod.__init__(
            self, rho=rho, adaptive=True, eta=eta, weights_only=weights_only, sync=sync
        )

    def moved(self, objective: Objective, ascent: list[Tensor], options: Options) -> list[Tensor]:
        """The weights at the worst point."""
        scaled = [not (options.weights_only and _is_bias(v)) for v in objective.variables]
        return worst_point(objective.values, ascent, options.rho, scaled, options.eta)

    def get_config(self) -> dict[str, object]:
        """The constructor's arguments."""
        config = super().get_config()
        del config["adaptive"]
        return config


def _is_bias(variable: keras.Variable) -> bool:
    """By its own name: that of Dense and convolutions, and BatchNorm's, which torch calls bias."""
    return variable.name in ("bias", "beta")
