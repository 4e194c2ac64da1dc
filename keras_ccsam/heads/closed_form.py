"""The two questions that a head answers in closed form.

For a batch of features H (B, D) with the gradient delta_i of sample i's loss with respect to its
logits (B, K), and the class averages M_ij = [y_i = y_j] / |B_{y_i}|, let g_c be the gradient of
class c's mean loss with respect to the head's weights. A closed form knows, without building g_c:

* `norm`: the norm of each sample's own class gradient, ||g_{y_i}||, over all weights together;
* `logits_after(length)`: the logits of each sample after a step of that length along
  g_{y_i} / ||g_{y_i}||, differentiable in the features and the weights, not in the step.

A head of your own takes part by defining `class_gradients(features, logits, logit_gradients,
by_class)` and `perturbed_weights`; without them it is perturbed class by class. `by_class` stands
for M and takes averages in whichever form is cheaper (class_averaging.py).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

import keras
from keras import ops

from keras_ccsam.heads.class_averaging import Averaging
from keras_ccsam.typing import Tensor


class ClassGradients(NamedTuple):
    """What a closed form says of a batch's class gradients.

    Attributes:
        norm: (B,) float, ||g_{y_i}||.
        logits_after: maps step lengths (B,) to logits (B, K). A sample whose `norm` is 0 does
            not move.
    """

    norm: Tensor
    logits_after: Callable[[Tensor], Tensor]


class TensorGradients(NamedTuple):
    """As `ClassGradients`, of each perturbed tensor apart.

    Attributes:
        norms: (B,) float for each tensor.
        logits_after: maps as many step lengths (B,) to logits (B, K).
    """

    norms: Sequence[Tensor]
    logits_after: Callable[[Sequence[Tensor]], Tensor]


@runtime_checkable
class TensorForm(Protocol):
    """A closed form that also knows the class gradients of its tensors apart."""

    def tensor_gradients(
        self, features: Tensor, logits: Tensor, logit_gradients: Tensor, by_class: Averaging
    ) -> TensorGradients:
        """The class gradients of a batch; arguments as `ClosedForm.class_gradients`."""
        ...


class ClosedForm(Protocol):
    """A head, or the adapter of one, with a closed form."""

    @property
    def perturbed_weights(self) -> Sequence[keras.Variable]:
        """The variables that a step moves, all of them together."""
        ...

    def class_gradients(
        self, features: Tensor, logits: Tensor, logit_gradients: Tensor, by_class: Averaging
    ) -> ClassGradients:
        """The class gradients of a batch.

        Args:
            features: (B, D), the head's inputs; gradients flow through them.
            logits: (B, K), the head's outputs before any activation.
            logit_gradients: (B, K), delta; no gradient flows through it.
            by_class: class means over the batch.
        """
        ...


def safe_sqrt(square: Tensor) -> Tensor:
    """sqrt(max(square, 0)): a sum of products may come out a hair below zero."""
    return ops.sqrt(ops.maximum(square, 0.0))


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is 0."""
    positive = ops.greater(denominator, 0.0)
    ones = ops.ones_like(denominator)
    return ops.where(positive, numerator / ops.where(positive, denominator, ones), 0.0)
