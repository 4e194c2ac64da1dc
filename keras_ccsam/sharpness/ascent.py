"""The step to the worst point, to first order, of a ball around the weights.

    eps = rho g / ||g||                     all weights jointly
    eps = rho t^2 o g / || t o g ||         adaptive: each weight's share scales with its size,
                                            t = |w| + eta, and 1 for what is not scaled

(Foret et al., ICLR 2021; Kwon et al., ASAM, ICML 2021.)
"""

from collections.abc import Sequence

from keras import ops

from keras_ccsam.sharpness.method import ascend, global_norm
from keras_ccsam.typing import Tensor


def worst_point(
    values: Sequence[Tensor],
    gradient: Sequence[Tensor],
    rho: Tensor,
    adaptive: bool | Sequence[bool] = False,
    eta: float = 0.0,
) -> list[Tensor]:
    """values + eps; the values themselves where the gradient is 0.

    A common factor of the gradient, such as the loss scale of mixed precision, cancels.

    Args:
        values: of the weights.
        gradient: at each of them.
        rho: radius of the ball.
        adaptive: whether a weight's share of it scales with its size; one answer, or one for each.
        eta: added to the size.
    """
    scaled = [adaptive] * len(values) if isinstance(adaptive, bool) else list(adaptive)
    if any(scaled):

        def sized_by(tensors: Sequence[Tensor]) -> list[Tensor]:
            rows = zip(values, tensors, scaled, strict=True)
            return [(ops.abs(v) + eta) * g if by_size else g for v, g, by_size in rows]

        sized = sized_by(gradient)
        directions = sized_by(sized)
    else:
        sized = directions = list(gradient)
    norm = global_norm(sized)
    step = ops.where(norm > 0, ops.convert_to_tensor(rho) / ops.maximum(norm, 1e-30), 0.0)
    return ascend(values, directions, step)
