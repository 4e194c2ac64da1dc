"""A perturbation of one part of the loss, the samples that matter.

    part(w) = reduce_i( k_{y_i} l_i(w) )                 k_c: the share of class c in the part
    eps     = rho g / ||g||,    g = grad part(w)         all weights jointly
    step    = grad (L - part)(w) + weight grad part(w + eps)

Both gradients at w are pulled back from one forward pass: two forward and three backward passes
per step. Regularisers and `add_loss` terms are in L - part, so they count once and unperturbed, and
do not bend the ascent as they do in `SAM`. BatchNorm statistics, seeds, metrics and the loss
reported, that of the whole compiled loss, are those of the pass at w. With mixup the class
of a sample is that of its first label, and l_i is the mixed loss.
"""

from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.ascent import worst_point
from keras_ccsam.sharpness.global_batch import summed_ascent
from keras_ccsam.sharpness.objective import Evaluation, Objective, Outputs
from keras_ccsam.typing import Tensor


def partial_loss_gradient(
    objective: Objective,
    shares: Tensor,
    rho: Tensor,
    *,
    weight: Tensor | float = 1.0,
    adaptive: bool = False,
    sync: str = "global",
) -> tuple[list[Tensor], Evaluation]:
    """The step's gradient and the clean pass's evaluation.

    Args:
        objective: the batch.
        shares: (K,), k_c.
        rho: radius of the ball. A batch without samples of the part takes no step in it.
        weight: times the part's gradient.
        adaptive: scale each weight's share of the ball by its own size (ASAM).
        sync: of the ascent, on several replicas: `"global"` or `"replica"`.
    """

    def reduced(sample_losses: Tensor) -> Tensor:
        own = ops.take(ops.cast(shares, sample_losses.dtype), objective.labels)
        return objective.reduce(own * sample_losses)

    def part(outputs: Outputs) -> Tensor:
        return reduced(outputs.sample_losses)

    def scaled_part(values: list[Tensor]) -> tuple[Tensor, tuple[()]]:
        value = reduced(objective.sample_losses(values))
        return value * ops.cast(objective.scale, value.dtype), ()

    rest, ascent, evaluation = objective.split_gradient(objective.values, part)
    ascent = summed_ascent(ascent, objective.batch, sync)
    objective.replay()
    moved = worst_point(objective.values, ascent, rho, adaptive)
    _, sharp = backend.value_and_grad(scaled_part, moved)
    gradients = [
        r + ops.cast(weight, r.dtype) * ops.cast(s, r.dtype)
        for r, s in zip(rest, sharp, strict=True)
    ]
    return gradients, evaluation
