"""What a sharpness method is given, and what it gives back.

A method forms the gradient of one training step. It sees the model only through an `Objective`:
pure functions of explicit weight values, so that no method ever mutates a variable and none has
anything to restore. A new method is one file with one class:

    @keras.saving.register_keras_serializable(package="keras_ccsam")
    class MyMethod(SharpnessMethod):
        def __init__(self, rho=0.05): ...
        def gradients(self, objective): ...
        def get_config(self): ...
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import keras
import numpy as np
from keras import ops

from keras_ccsam.checks import at_least_float32
from keras_ccsam.typing import Tensor


class Evaluation(NamedTuple):
    """What one clean pass leaves behind, beside its gradient.

    Attributes:
        loss: scalar, unscaled: what is reported as the step's loss.
        predictions: (B, K), the model's outputs.
        updates: new values of the non-trainable and metric variables (BatchNorm statistics,
            seeds), None where the pass changed nothing.
    """

    loss: Tensor
    predictions: Tensor
    updates: list[Tensor | None]


class Outputs(NamedTuple):
    """A pass as a term of the loss sees it, inside the pass's scope.

    Attributes:
        features: (B, D) inputs of the head, float32 or wider.
        logits: (B, K) before a Dense head's activation, else its outputs; float32 or wider.
        sample_losses: (B,) each sample's loss times its weight, no regularisers.
        losses_of_logits: maps logits (B, K) to sample losses (B,).
        losses_of_features: maps features (B, D) to sample losses (B,) through the head.
        reduce: maps sample losses (B,) to the scalar that the compiled loss's reduction gives.
    """

    features: Tensor
    logits: Tensor
    sample_losses: Tensor
    losses_of_logits: Callable[[Tensor], Tensor]
    losses_of_features: Callable[[Tensor], Tensor]
    reduce: Callable[[Tensor], Tensor]


class Tap(NamedTuple):
    """A Dense layer that sees one row a sample, once: its kernel needs no copy a sample.

    Attributes:
        kernel: the position of its kernel (D, U) among the trainable variables.
        units: U.
    """

    kernel: int
    units: int


class Samples(Protocol):
    """One batch as samples that do not see each other."""

    data: Any
    """The batch: a structure of tensors whose first axis counts the samples."""
    prediction_shape: tuple[int, ...]
    """Of one sample."""

    taps: Sequence[Tap]
    """The Dense layers whose inputs `loss` gives and whose outputs it shifts."""

    def loss(
        self,
        values: Sequence[Tensor],
        sample: Any,
        shifts: Sequence[Callable[[Tensor], Tensor]],
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """One row of `data` at `values`: its loss, its prediction, and the taps' inputs (D,).

        `shifts` has, for each tap, what is added to its output (1, U) before the activation, as a
        function of its input (1, D).
        """
        ...

    def evaluate(self, predictions: Tensor) -> tuple[list[Tensor], Evaluation]:
        """The batch's loss at these predictions; the (scaled) gradient of its regularisers."""
        ...


class Objective(Protocol):
    """One batch's loss as a pure function of the trainable variables' values."""

    variables: Sequence[keras.Variable]
    """The trainable variables, in the order of `values`."""
    values: list[Tensor]
    """Their values at the start of the step."""
    labels: Tensor
    """(B,) int32, the class of each sample; with mixup that of its first label."""
    scale: Tensor
    """The loss scale of mixed precision: gradients are this many times too large."""

    def gradient(
        self, values: Sequence[Tensor], term: Callable[[Outputs], Tensor] | None = None
    ) -> tuple[list[Tensor], Evaluation]:
        """The gradient of the whole (scaled) loss, regularisers included, plus `term`."""
        ...

    def split_gradient(
        self, values: Sequence[Tensor], part: Callable[[Outputs], Tensor]
    ) -> tuple[list[Tensor], list[Tensor], Evaluation]:
        """Of one pass, two gradients: that of the whole (scaled) loss less `part`, that of `part`.

        Regularisers are in the first one; the evaluation's loss is the whole.
        """
        ...

    def sample_losses(self, values: Sequence[Tensor]) -> Tensor:
        """(B,) sample losses at `values`, with the randomness of the clean pass."""
        ...

    def gradient_and_statistics(
        self, layers: Sequence[Any], term: Callable[[Outputs], Tensor]
    ) -> tuple[list[Tensor], Evaluation, list[tuple[keras.Variable, Tensor]]]:
        """`gradient` at `values`, and what its BatchNorm layers normalised by.

        That is, each layer's moving statistics with the batch's own values.
        """
        ...

    def samples(self, state: Sequence[tuple[keras.Variable, Tensor]] = ()) -> Samples:
        """The batch sample by sample, BatchNorm normalising by `state`.

        It is the batch only where no other layer couples samples: `model.sample_coupling()`.
        """
        ...

    def reduce(self, sample_losses: Tensor) -> Tensor:
        """The scalar that the compiled loss's reduction gives."""
        ...

    def replay(self) -> None:
        """Makes the next pass draw the randomness of the first one."""
        ...


class SharpnessMethod:
    """Forms the gradient of a step. The base of every method in this folder."""

    def build(self, model: keras.Model) -> None:
        """Creates the method's variables on `model`, which owns and saves them.

        A hyper-parameter that a callback may change must be a variable: a Python float would be
        compiled into the step.
        """

    def check(self, model: keras.Model) -> None:
        """Raises ValueError if the method does not suit the built `model`, when it is compiled."""

    def gradients(self, objective: Objective) -> tuple[list[Tensor], Evaluation]:
        """The (scaled) gradient of each trainable variable, and the clean pass."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SharpnessMethod":
        """A method of this class, unbuilt."""
        return cls(**config)


def hyper_parameter(model: keras.Model, name: str, value: float) -> keras.Variable:
    """A scalar variable of the model that no optimizer touches and no precision policy casts."""
    dtype = keras.config.floatx()
    variable = model.add_weight(
        name=name, shape=(), initializer="zeros", trainable=False, autocast=False, dtype=dtype
    )
    # Keras' Constant initialiser goes through float32 even for a float64 variable.
    variable.assign(np.asarray(value, dtype))
    return variable


def constants(values: Sequence[float]) -> keras.Variable:
    """Numbers that follow from the constructor's arguments, put on the device once, not saved.

    Made in `build`. A list converted in `gradients` is walked through item by item, and copied to
    the device, in each eager step: with thousands of classes the longest part of it.
    """
    dtype = keras.config.floatx()
    numbers = np.asarray(values, dtype)
    return keras.Variable(numbers, trainable=False, autocast=False, dtype=dtype)


def global_norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all tensors together, in at least float32."""
    return ops.sqrt(sum(ops.sum(ops.square(at_least_float32(t))) for t in tensors))


def ascend(values: Sequence[Tensor], directions: Sequence[Tensor], step: Tensor) -> list[Tensor]:
    """values + step * directions, each in its own type."""
    return [
        value + ops.cast(step, value.dtype) * ops.cast(direction, value.dtype)
        for value, direction in zip(values, directions, strict=True)
    ]
