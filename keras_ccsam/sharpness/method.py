"""What a sharpness method is given, and what it gives back.

A method forms the gradient of one training step. It sees the model only through an `Objective`:
pure functions of explicit weight values, so that no method ever mutates a variable and none has
anything to restore. A method is configuration; what belongs to one model, its variables first of
all, is made by `bind` and lives with that model. A new method is one file with one class:

    @part("sharpness", "gsam", limit=Limit("sam", alpha=0.0))
    class GSAM(SharpnessMethod):
        def __init__(self, rho: Annotated[float, Field(ge=0, ...), VARIABLE] = 0.05, ...):
            super().__init__(rho=rho, ...)
        def gradients(self, objective, options): ...        # options.rho is a tensor's variable
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Protocol

import keras
import numpy as np
from keras import ops

from keras_ccsam import options as declared
from keras_ccsam.checks import at_least_float32, check_class_counts
from keras_ccsam.sharpness.objective import Coupling, Evaluation, Objective
from keras_ccsam.typing import Tensor


class Learner(Protocol):
    """The model as a method sees it while it is bound and checked."""

    head: keras.Layer
    method_seeds: keras.random.SeedGenerator
    """Where a method that draws at random keeps its generator: a step carries the model's own."""

    @property
    def num_classes(self) -> int:
        """K."""
        ...

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """In the order of an objective's values."""
        ...

    @property
    def coupling(self) -> Coupling:
        """How the samples of a training batch see each other."""
        ...

    def add_weight(self, **arguments: Any) -> keras.Variable:
        """Creates a variable that the model owns and saves."""
        ...


class Options(SimpleNamespace):
    """A method's options as one model has them.

    Those that a callback may change are variables of the model, the others plain values; `bind` may
    add what follows from them.
    """


class SharpnessMethod:
    """Forms the gradient of a step. The base of every method in this folder.

    Args:
        **arguments: the constructor's, checked against what it declares. `class_counts`, the
            number of images of each class in the *training set*, is checked for every method
            that takes it.

    Raises:
        ValueError: for an argument outside its range.
    """

    def __init__(self, **arguments: Any) -> None:
        if "class_counts" in arguments:
            self.class_counts = check_class_counts(arguments["class_counts"])
            arguments["class_counts"] = list(self.class_counts)
        self._arguments = declared.checked(type(self), arguments)

    def bind(self, model: Learner) -> Options:
        """What belongs to one model: its own variables, made here, and the other options.

        A hyper-parameter that a callback may change must be a variable: a Python float would be
        compiled into the step.

        Raises:
            ValueError: if the head's classes are not as many as the class counts.
        """
        if "class_counts" in self._arguments:
            check_class_counts(self.class_counts, model.num_classes)
        options = Options(**self._arguments)
        for option in declared.inherited(type(self)).values():
            if option.variable and option.name in self._arguments:
                value = self._arguments[option.name]
                setattr(options, option.name, hyper_parameter(model, option.name, value))
        return options

    def keep(self, model: Learner, options: Options) -> None:
        """Makes what a method remembers of each weight, as the model is built: variables of it.

        They are saved with the model, and a training that goes on has them. A step gives their new
        values to `Objective.wrote`.

        Args:
            model: its backbone and head are built.
            options: what `bind` made for it.
        """

    def check(self, model: Learner) -> None:
        """Raises ValueError if the method does not suit the built `model`, when it is compiled."""

    def gradients(self, objective: Objective, options: Options) -> tuple[list[Tensor], Evaluation]:
        """The (scaled) gradient of each trainable variable, and the clean pass.

        Args:
            objective: the batch.
            options: what `bind` made for the model in training.
        """
        raise NotImplementedError

    def shared_numbers(self, model: Learner, rows: int) -> int:
        """How many numbers a step shares among replicas for its perturbation; 0 for most methods.

        Args:
            model: built.
            rows: of the global batch.
        """
        return 0

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return dict(self._arguments)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "SharpnessMethod":
        """A method of this class."""
        return cls(**config)


def hyper_parameter(model: Learner, name: str, value: float) -> keras.Variable:
    """A scalar variable of the model that no optimizer touches and no precision policy casts."""
    dtype = keras.config.floatx()
    variable = model.add_weight(
        name=name, shape=(), initializer="zeros", trainable=False, autocast=False, dtype=dtype
    )
    # Keras' Constant initialiser goes through float32 even for a float64 variable.
    variable.assign(np.asarray(value, dtype))
    return variable


def constants(values: float | Sequence[float]) -> keras.Variable:
    """Numbers that follow from the constructor's arguments, put on the device once, not saved.

    Made in `bind`. A list converted in `gradients` is walked through item by item, and copied to
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
