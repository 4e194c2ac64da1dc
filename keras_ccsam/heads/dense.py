"""The closed form of a linear head, z = h W + b, for any per-sample loss.

With G = H H^T + 1 (the 1 is the bias; without one it is left out) and M the class averages,

    T            = (G o M) delta
    ||g_{y_i}||^2 = ( M rowsum(delta o T) )_i
    h_i . eps_i   = length_i / ||g_{y_i}|| * T_i          the step's effect on sample i's logits

so one (B, B) product takes the place of a gradient, a forward and a backward pass per class. It is
exact, has static shapes, and costs O(B^2 (D + K)) whatever the number of classes present; for few
classes in a large batch T comes from the class means instead (class_averaging.py). T is the sum of
the kernel's part, (H H^T o M) delta, and the bias', M delta, which are also given apart.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import keras
from keras import ops
from pydantic import Field

from keras_ccsam.declare import part
from keras_ccsam.heads.class_averaging import Averaging
from keras_ccsam.heads.closed_form import (
    ClassGradients,
    TensorGradients,
    safe_divide,
    safe_sqrt,
)
from keras_ccsam.options import checked
from keras_ccsam.typing import Tensor


@part("head", "dense", offers=("linear",))
def dense(
    units: int,
    name: str | None = None,
    features: int | None = None,
    initializer: Annotated[
        Literal["keras", "torch"],
        Field(
            description="first weights: glorot uniform and a bias of 0; or as torch's Linear, both "
            "uniform within 1 / sqrt(features) (code)"
        ),
    ] = "keras",
) -> keras.layers.Dense:
    """A linear classifier with a bias: Keras' own layer.

    Args:
        units: K.
        name: of the layer.
        features: D, which torch's range of the bias depends on.
        initializer: of its first weights.

    Raises:
        ValueError: for another initializer, or torch's without `features`.
    """
    checked(dense, {"initializer": initializer})
    if initializer == "keras":
        return keras.layers.Dense(units, name=name)
    if features is None:
        raise ValueError(
            "initializer='torch' draws the bias by the number of features: give it. "
            "Received: features=None"
        )
    bound = features**-0.5

    def uniform() -> keras.initializers.Initializer:
        return keras.initializers.RandomUniform(-bound, bound)

    return keras.layers.Dense(
        units, kernel_initializer=uniform(), bias_initializer=uniform(), name=name
    )


def is_plain_dense(layer: Any) -> bool:
    """Whether the layer is z = h W + b and nothing else, before its activation.

    A subclass of `keras.layers.Dense` may compute something else, and a quantised one or one with
    LoRA does.
    """
    kind = type(layer)
    # Asked of the class itself, for the same reason.
    plain = kind is keras.layers.Dense or vars(kind).get("computes_plain_dense") is True
    return plain and not layer.quantization_mode and not layer.lora_enabled


class DenseClosedForm:
    """The closed form of a `keras.layers.Dense` that takes (B, D) features.

    Args:
        layer: the head. Its activation plays no part: the logits are taken before it.
    """

    def __init__(self, layer: keras.layers.Dense) -> None:
        self.layer = layer

    @property
    def perturbed_weights(self) -> Sequence[keras.Variable]:
        """Kernel and bias together: their norm is the joint one."""
        weights = [self.layer.kernel]
        if self.layer.use_bias:
            weights.append(self.layer.bias)
        return weights

    def logits(self, features: Tensor) -> Tensor:
        """h W + b, without the activation, in the features' type."""
        logits = ops.matmul(features, ops.cast(self.layer.kernel, features.dtype))
        if self.layer.use_bias:
            logits = logits + ops.cast(self.layer.bias, features.dtype)
        return logits

    def class_gradients(
        self,
        features: Tensor,
        logits: Tensor,
        logit_gradients: Tensor,
        by_class: Averaging,
    ) -> ClassGradients:
        """The class gradients of a batch; see `closed_form`."""
        # Differentiable in the left factor only: the step is a constant of the second pass.
        along = by_class.along(
            features, ops.stop_gradient(features), logit_gradients, self.layer.use_bias
        )
        inner = ops.sum(logit_gradients * ops.stop_gradient(along), axis=1)
        norm = safe_sqrt(by_class.mean(inner[:, None])[:, 0])

        def logits_after(length: Tensor) -> Tensor:
            return logits + safe_divide(length, norm)[:, None] * along

        return ClassGradients(norm, logits_after)

    def tensor_gradients(
        self, features: Tensor, logits: Tensor, logit_gradients: Tensor, by_class: Averaging
    ) -> TensorGradients:
        """Of the kernel, and of the bias where there is one; see `closed_form`."""
        moves = [by_class.along(features, ops.stop_gradient(features), logit_gradients)]
        if self.layer.use_bias:
            moves.append(by_class.mean(logit_gradients))
        inner = [ops.sum(logit_gradients * ops.stop_gradient(m), axis=1) for m in moves]
        norms = [safe_sqrt(by_class.mean(product[:, None])[:, 0]) for product in inner]

        def logits_after(lengths: Sequence[Tensor]) -> Tensor:
            after = logits
            for length, norm, move in zip(lengths, norms, moves, strict=True):
                after = after + safe_divide(length, norm)[:, None] * move
            return after

        return TensorGradients(norms, logits_after)
