"""What a head puts out: how many classes, and logits or probabilities."""

from collections.abc import Callable

import keras

from keras_ccsam.heads.dense import DenseClosedForm, is_plain_dense
from keras_ccsam.typing import Tensor

_PROBABILITIES = ("softmax", "sigmoid")


def num_classes(head: keras.Layer) -> int:
    """K, which the head states as `units`; 2 where a single output tells two classes apart.

    Raises:
        ValueError: if it states none.
    """
    units = getattr(head, "units", None)
    if units is None:
        raise ValueError(
            f"The head must state its number of classes as `units`. Received: head={head!r}"
        )
    return 2 if int(units) == 1 else int(units)


def activation(head: keras.Layer) -> Callable[[Tensor], Tensor] | None:
    """The head's activation, None where its outputs are logits."""
    found: Callable[[Tensor], Tensor] | None = getattr(head, "activation", None)
    return None if found is keras.activations.linear else found


def puts_out_logits(head: keras.Layer) -> bool:
    """Whether the outputs are logits, not probabilities."""
    return getattr(activation(head), "__name__", None) not in _PROBABILITIES


def logits_before_activation(head: keras.Layer, features: Tensor) -> Tensor | None:
    """A Dense head's outputs before its activation; None where they cannot be had."""
    return DenseClosedForm(head).logits(features) if is_plain_dense(head) else None
