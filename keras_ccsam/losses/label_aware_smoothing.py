"""Label-aware smoothing (MiSLAS): the more frequent a class, the softer its labels.

    L     = (1 - eps_y) (-log p_y) + eps_y mean_c (-log p_c),    p = softmax(z)
    eps_c = tail + (head - tail) g(t_c),    t_c = (n_c - n_min) / (n_max - n_min)

    g(t) = sin(pi t / 2)        concave
           t                    linear
           1 - cos(pi t / 2)    convex
           t^power              exponential

Zhong et al., "Improving calibration for long-tailed recognition" (arXiv:2104.00466), where it
trains the second stage; the exponential form is in their code.
"""

import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from keras_ccsam.checks import require
from keras_ccsam.declare import Limit, part
from keras_ccsam.losses.label_smoothing import smoothed
from keras_ccsam.losses.loss import ClassCountLoss, constant, of_label
from keras_ccsam.typing import Tensor

Shape = Literal["concave", "linear", "convex", "exponential"]


@part(
    "loss",
    "label_aware_smoothing",
    limit=Limit("cross_entropy", head=0.0, tail=0.0, tolerance=1e-5),
    trials=({"head": 0.4, "tail": 0.1, "shape": "exponential", "power": 3.0},),
)
class LabelAwareSmoothing(ClassCountLoss):
    """Cross-entropy with a smoothing of its own for each class.

    Args:
        class_counts: n_c, the number of training images of each class. Where all are equal, every
            class is as frequent as the most frequent and gets `head`.
        head: eps of the most frequent class, in [0, 1).
        tail: eps of the rarest class, in [0, head].
        shape: how eps falls between the two: "concave" (the authors' choice), "linear",
            "convex" or "exponential".
        power: exponent of "exponential", above 0, without meaning for the others.
        reduction, name, dtype: of `keras.losses.Loss`.

    Raises:
        ValueError: if `head`, `tail` or `power` is out of range, `shape` is unknown, or a class
            count is not a whole number of at least 1.
    """

    samples_independent = True
    head: float
    tail: float
    shape: Shape
    power: float

    def __init__(
        self,
        class_counts: Sequence[int],
        head: Annotated[
            float, Field(ge=0, lt=1, description="of the largest class (code: 0.3 CIFAR-10)")
        ] = 0.3,
        tail: Annotated[
            float, Field(ge=0, lt=1, description="of the smallest class, at most head (code: 0)")
        ] = 0.0,
        shape: Annotated[Shape, Field(description="between them (code: concave)")] = "concave",
        power: Annotated[
            float, Field(gt=0, description="of the shape exponential (code: none given)")
        ] = 2.0,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "label_aware_smoothing",
        dtype: Any = None,
    ) -> None:
        given = {"head": head, "tail": tail, "shape": shape, "power": power}
        super().__init__(class_counts, reduction, name, dtype, **given)
        require(self.tail <= self.head, "tail", tail, f"in [0, {head}], at most `head`")
        rise = _rise(self.shape, self.power)
        self.smoothing = tuple(
            self.tail + (self.head - self.tail) * rise(t) for t in _positions(self.class_counts)
        )

    def sample_losses(self, targets: Tensor, outputs: Tensor) -> Tensor:
        """Losses (B,) of one-hot rows (B, K) and logits (B, K)."""
        eps = of_label(targets, constant(self.smoothing, outputs))
        return smoothed(targets, outputs, eps)


def _positions(counts: Sequence[int]) -> list[float]:
    """t of each class: 0 for the rarest, 1 for the most frequent."""
    least, most = min(counts), max(counts)
    return [1.0 if most == least else (count - least) / (most - least) for count in counts]


def _rise(shape: str, power: float) -> Callable[[float], float]:
    """g, from g(0) = 0 to g(1) = 1."""
    if shape == "concave":
        return lambda t: math.sin(math.pi / 2 * t)
    if shape == "convex":
        return lambda t: 1.0 - math.cos(math.pi / 2 * t)
    return lambda t: t if shape == "linear" else float(t**power)
