"""The two questions that a head answers in closed form.

For a batch of features H (B, D) with the gradient delta_i of sample i's loss with respect to its
logits (B, K), and the class averages M_ij = [y_i = y_j] / |B_{y_i}|, let g_c be the gradient of
class c's mean loss with respect to the head's weights. A closed form knows, without building g_c:

* `norm`: the norm of each sample's own class gradient, ||g_{y_i}||, over all weights together;
* `logits_after(length)`: the logits of each sample after a step of that length along
  g_{y_i} / ||g_{y_i}||, differentiable in the features and the weights, not in the step.

A head of your own takes part by defining `class_gradients(features, logits, logit_gradients,
averages)` and `perturbed_weights`; without them it is perturbed class by class. One whose
`class_gradients` has a parameter `labels` gets these in place of `averages`, as the library's own
do: they average by whichever form is cheaper (averaging.py).
"""

import inspect
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import keras
from keras import ops

from keras_ccsam.heads.gram import class_averages
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


class ClosedForm(Protocol):
    """A head, or the adapter of one, with a closed form."""

    @property
    def perturbed_weights(self) -> Sequence[keras.Variable]:
        """The variables that a step moves, all of them together."""
        ...

    def class_gradients(
        self, features: Tensor, logits: Tensor, logit_gradients: Tensor, averages: Tensor
    ) -> ClassGradients:
        """The class gradients of a batch.

        Args:
            features: (B, D), the head's inputs; gradients flow through them.
            logits: (B, K), the head's outputs before any activation.
            logit_gradients: (B, K), delta; no gradient flows through it.
            averages: (B, B), M.
        """
        ...


def class_gradients(
    form: ClosedForm, features: Tensor, logits: Tensor, logit_gradients: Tensor, labels: Tensor
) -> ClassGradients:
    """Asks a closed form for the class gradients of a batch, in the terms that it takes.

    Args:
        form: asked with the labels where its `class_gradients` has a parameter of that name, and
            with the class averages otherwise.
        features: (B, D).
        logits: (B, K).
        logit_gradients: (B, K).
        labels: (B,) integers.
    """
    ask: Callable[..., ClassGradients] = form.class_gradients
    if "labels" in inspect.signature(ask).parameters:
        return ask(features, logits, logit_gradients, labels=labels)
    averages = class_averages(labels, keras.backend.standardize_dtype(features.dtype))
    return ask(features, logits, logit_gradients, averages)


def safe_sqrt(square: Tensor) -> Tensor:
    """sqrt(max(square, 0)): a sum of products may come out a hair below zero."""
    return ops.sqrt(ops.maximum(square, 0.0))


def safe_divide(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, and 0 where the denominator is 0."""
    positive = ops.greater(denominator, 0.0)
    ones = ops.ones_like(denominator)
    return ops.where(positive, numerator / ops.where(positive, denominator, ones), 0.0)
