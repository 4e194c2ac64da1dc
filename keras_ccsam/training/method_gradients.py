"""A step's gradients from its method, and whether a method from outside keeps to the contract."""

import inspect

import keras

from keras_ccsam.sharpness.objective import Evaluation
from keras_ccsam.training.objective import BatchObjective
from keras_ccsam.training.trainee import Trainee
from keras_ccsam.typing import Tensor


def method_gradients(model: Trainee, objective: BatchObjective) -> tuple[list[Tensor], Evaluation]:
    """What the model's method makes of a batch; see `SharpnessMethod.gradients`.

    Only shapes are looked at, so a compiled step does nothing more for it. The methods of this
    package are held to the contract by its tests, and are not asked.

    Raises:
        TypeError: a method from outside gives something else.
    """
    returned = model.sharpness.gradients(objective, model.hyper_parameters)
    if not type(model.sharpness).__module__.startswith("keras_ccsam."):
        _check(type(model.sharpness), objective, returned)
    return returned


def _check(method: type, objective: BatchObjective, returned: object) -> None:
    variables = objective.variables
    problem = None
    if not isinstance(returned, tuple) or len(returned) != 2:
        problem = f"it returned {_kind(returned)}"
    elif not isinstance(returned[1], Evaluation):
        problem = f"in place of the evaluation it returned {_kind(returned[1])}"
    elif not isinstance(returned[0], list | tuple):
        problem = f"in place of a list of gradients it returned {_kind(returned[0])}"
    elif len(returned[0]) != len(variables):
        problem = f"it returned {len(returned[0])} gradients"
    else:
        pairs = zip(variables, returned[0], strict=True)
        problem = next((text for pair in pairs if (text := _of_one(*pair))), None)
    if problem is not None:
        raise TypeError(
            f"{method.__name__}.gradients ({inspect.getfile(method)}) must return one gradient for "
            f"each of the {len(variables)} trainable variables, in their order and shapes, and the "
            f"evaluation of the clean pass; {problem}"
        )


def _of_one(variable: keras.Variable, gradient: object) -> str | None:
    """What is wrong with the gradient of a variable; None where nothing is."""
    shape = getattr(gradient, "shape", None)
    if shape is None:
        return f"the gradient of {variable.path} is {_kind(gradient)}"
    # TensorFlow may not know a shape before the step runs.
    if None in tuple(shape) or tuple(shape) == tuple(variable.shape):
        return None
    return (
        f"the gradient of {variable.path} has the shape {tuple(shape)} in place of "
        f"{tuple(variable.shape)}"
    )


def _kind(value: object) -> str:
    """A value by its type, as in "a dict"; a tuple by its length as well."""
    if value is None:
        return "nothing"
    if isinstance(value, tuple | list):
        return f"a {type(value).__name__} of {len(value)}"
    return f"an object of the type {type(value).__name__}"
