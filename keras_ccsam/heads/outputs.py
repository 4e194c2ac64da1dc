"""What a head puts out: how many classes, and logits or probabilities."""

from collections.abc import Callable

import keras

from keras_ccsam.heads.activated import plain_dense
from keras_ccsam.heads.dense import DenseClosedForm
from keras_ccsam.typing import Tensor

_PROBABILITIES = ("softmax", "sigmoid")


def num_outputs(head: keras.Layer) -> int:
    """The number of columns that the head puts out, which it states as `units`.

    Raises:
        ValueError: if it states none.
    """
    units = getattr(head, "units", None)
    if units is None:
        raise ValueError(
            f"The head must state its number of classes as `units`. Received: head={head!r}"
        )
    return int(units)


def num_classes(head: keras.Layer) -> int:
    """K, the number of outputs; 2 where a single one tells two classes apart."""
    return max(num_outputs(head), 2)


def activation(head: keras.Layer) -> Callable[[Tensor], Tensor] | None:
    """The head's activation, None where its outputs are logits."""
    found: Callable[[Tensor], Tensor] | None = getattr(head, "activation", None)
    return None if found is keras.activations.linear else found


def puts_out_logits(head: keras.Layer) -> bool:
    """Whether the outputs are logits, not probabilities."""
    return getattr(activation(head), "__name__", None) not in _PROBABILITIES


def logits_before_activation(head: keras.Layer, features: Tensor) -> Tensor | None:
    """A Dense head's outputs before its activation; None where they cannot be had."""
    dense = plain_dense(head)
    return None if dense is None else DenseClosedForm(dense).logits(features)
