"""Friendly SAM: an ascent along what is the batch's own, without what it shares with all batches.

    m    <- lambda m + (1 - lambda) g,     g = grad L(w);  m = 0 at first
    d    =  g - sigma m
    eps  =  rho d / ||d||                  all weights jointly
    step =  grad L(w + eps)

The running mean m stands for the full gradient; d is what is left of a batch's gradient without it.
At sigma 0 this is SAM. At sigma 1, the published value, d has the direction of g less the mean
before it, which is how the released code writes it; that code starts from m = g, this from 0, and
the difference is gone after a few times 1 / (1 - lambda) steps.

References:
    Li et al., Friendly Sharpness-Aware Minimization, CVPR 2024.
"""

import operator
from collections.abc import Sequence
from typing import Annotated

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.checks import at_least_float32
from keras_ccsam.declare import Limit, part
from keras_ccsam.options import VARIABLE
from keras_ccsam.sharpness.ascent import worst_point
from keras_ccsam.sharpness.global_batch import ascent_numbers, summed_ascent
from keras_ccsam.sharpness.method import Learner, Options, SharpnessMethod, global_norm
from keras_ccsam.sharpness.objective import Evaluation, Objective
from keras_ccsam.sharpness.shared_options import Adaptive
from keras_ccsam.typing import Tensor


@part("sharpness", "friendly_sam", limit=Limit("sam", sigma=0.0))
class FriendlySAM(SharpnessMethod):
    """The gradient at the worst point along a batch's own part of the gradient.

    The running mean is one number a trainable weight, which the model owns and its file holds. On
    several replicas it is that of the global batch's gradient, so there is one mean. A gradient
    that is not finite, as an overflow of float16 makes it, is left out of it.

    Args:
        rho: radius of the ball, in units of the weights. A variable.
        sigma: how much of the running mean is taken off the ascent. A variable. 0 is SAM, bit for
            bit.
        decay: lambda, the share of the old mean that each step keeps. A variable.
        adaptive: scale each weight's share of the ball by its own size (ASAM).

    Raises:
        ValueError: if `rho` or `sigma` is negative, or `decay` lies outside [0, 1); in a step, for
            a weight that has been made trainable since the model was built.
    """

    def __init__(
        self,
        rho: Annotated[
            float,
            Field(ge=0, description="radius, in units of the weights (code: 0.05; run.sh: 0.2)"),
            VARIABLE,
        ] = 0.05,
        sigma: Annotated[
            float,
            Field(ge=0, description="how much of the mean is taken off (code: 1)"),
            VARIABLE,
        ] = 1.0,
        decay: Annotated[
            float,
            Field(ge=0, lt=1, description="lambda of the mean (code: 0.9; run.sh: 0.95)"),
            VARIABLE,
        ] = 0.9,
        *,
        adaptive: Adaptive = False,
    ) -> None:
        super().__init__(rho=rho, sigma=sigma, decay=decay, adaptive=adaptive)

    def keep(self, model: Learner, options: Options) -> None:
        """Makes the running mean, a variable for each trainable weight."""
        options.weights = list(model.trainable_variables)
        options.means = [
            model.add_weight(
                name=f"mean_gradient_{place}",
                shape=weight.shape,
                initializer="zeros",
                trainable=False,
                autocast=False,
                dtype=keras.config.floatx(),
            )
            for place, weight in enumerate(options.weights)
        ]

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """The ascent gradient."""
        return ascent_numbers(model.trainable_variables, "global")

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """Two passes. The loss reported is that of the first."""
        gradient, evaluation = objective.gradient(objective.values)
        means = _means(options, objective.variables)
        sigma, decay = (ops.convert_to_tensor(v) for v in (options.sigma, options.decay))
        scale = objective.scale
        ascent = [
            at_least_float32(g) / ops.cast(scale, at_least_float32(g).dtype)
            for g in summed_ascent(gradient, objective.batch, "global")
        ]
        finite = ops.isfinite(global_norm(ascent))
        old = [ops.convert_to_tensor(mean) for mean in means]
        new = [
            ops.where(finite, ops.cast(decay, m.dtype) * m + ops.cast(1.0 - decay, m.dtype) * g, m)
            for m, g in zip(old, ascent, strict=True)
        ]
        own = [g - ops.cast(sigma, g.dtype) * m for g, m in zip(ascent, new, strict=True)]
        objective.replay()
        moved = worst_point(objective.values, own, options.rho, options.adaptive)
        sharp, _ = objective.gradient(moved)
        return sharp, objective.wrote(evaluation, list(zip(means, new, strict=True)))


def _means(options: Options, weights: Sequence[keras.Variable]) -> list[keras.Variable]:
    """The running mean of each weight's gradient.

    Raises:
        ValueError: one has none.
    """
    known: list[keras.Variable] = options.weights
    means: list[keras.Variable] = options.means
    if len(known) == len(weights) and all(map(operator.is_, known, weights)):
        return means
    return [means[_place(known, weight)] for weight in weights]


def _place(known: Sequence[keras.Variable], weight: keras.Variable) -> int:
    """Where among the weights of the model's beginning one stands."""
    place = next((place for place, one in enumerate(known) if one is weight), None)
    if place is None:
        raise ValueError(
            "Friendly SAM keeps a mean of each weight's gradient from when the model is built: "
            "freeze or release layers before the model is made of them. Received: "
            f"trainable weight={weight.path!r}, which was none then"
        )
    return place
