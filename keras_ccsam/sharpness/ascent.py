"""The step to the worst point, to first order, of a ball around the weights.

    eps = rho g / ||g||                     all weights jointly
    eps = rho w^2 o g / || |w| o g ||       adaptive: each weight's share scales with its size

(Foret et al., ICLR 2021; Kwon et al., ASAM, ICML 2021.)
"""

from collections.abc import Sequence

from keras import ops

from keras_ccsam.sharpness.method import ascend, global_norm
from keras_ccsam.typing import Tensor


def worst_point(
    values: Sequence[Tensor], gradient: Sequence[Tensor], rho: Tensor, adaptive: bool = False
) -> list[Tensor]:
    """values + eps; the values themselves where the gradient is 0.

    A common factor of the gradient, such as the loss scale of mixed precision, cancels.
    """
    if adaptive:
        sized = [ops.abs(v) * g for v, g in zip(values, gradient, strict=True)]
        directions = [ops.abs(v) * g for v, g in zip(values, sized, strict=True)]
    else:
        sized = directions = list(gradient)
    norm = global_norm(sized)
    step = ops.where(norm > 0, ops.convert_to_tensor(rho) / ops.maximum(norm, 1e-30), 0.0)
    return ascend(values, directions, step)
