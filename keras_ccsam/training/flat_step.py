"""When a training step may run as flat programs, and what these programs are for.

A flat program is for the objects as they are when it is made: a layer that is frozen later, a loss
with another factor, an optimizer with another momentum make it a program of another step. Variables
are not part of it: their values are read and written in each step.
"""

from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Protocol

import keras

from keras_ccsam import backend
from keras_ccsam.layers.walk import all_layers
from keras_ccsam.training.trainee import Trainee

# Keras' optimizers decide in Python, on PyTorch, whether a step is left out (loss scales) or
# counted (accumulation): that part of a step runs as it is, and nobody is told.
UPDATE = "update"
# Who wrote what a program may be made of. What the standard library makes holds, and computes not.
_KNOWN = {"keras", "keras_ccsam", "keras_hub", "torch", "numpy"}
_KNOWN |= {"builtins", "collections", "functools", "types"}


class Run(Protocol):
    """Runs a part of a step."""

    def __call__(self, name: str, fn: Callable[..., Any], *args: Any) -> Any:
        """`fn(*args)`, as it is or as a program. A name stands for one function."""
        ...


def flat_functions(model: Trainee) -> backend.FlatFunctions:
    """The programs of a model's step, none yet; none ever where `"auto"` finds the user's code."""
    foreign = partial(own_code, model) if model.flat_step == "auto" else None
    return backend.FlatFunctions(lambda: watched(model), frozenset({UPDATE}), foreign)


def own_code(model: Trainee) -> str | None:
    """The first part of a step that is the user's own code, None where there is none.

    What Python does there besides computing (a number that is read, a coin that is tossed, a
    dictionary that is changed) no program can know.
    """
    for each in watched(model):
        if isinstance(each, keras.layers.TorchModuleWrapper):  # what is in it may be replaced
            return f"the torch module in {each.name!r} is code of your own"
        if type(each).__module__.partition(".")[0] not in _KNOWN:
            return f"{type(each).__name__} {getattr(each, 'name', '')!r} is code of your own"
        for name, value in vars(each).items() if hasattr(each, "__dict__") else ():
            if isinstance(value, FunctionType | MethodType | partial):
                code = value.func if isinstance(value, partial) else value
                if str(getattr(code, "__module__", "")).partition(".")[0] not in _KNOWN:
                    owner = f"{type(each).__name__} {getattr(each, 'name', '')!r}"
                    return f"{name} of {owner} is code of your own"
    return None


def as_it_is(name: str, fn: Callable[..., Any], *args: Any) -> Any:
    """`fn(*args)`: layer by layer on PyTorch."""
    return fn(*args)


def runner(model: Trainee) -> Run:
    """What runs the parts of the step that begins now.

    Several processes share sums in a step, and run it as it is; so does a step that the user wants
    run eagerly or compiled.
    """
    wanted = model.flat_step and not model.run_eagerly and not model.jit_compile
    if not wanted or backend.replica_count() > 1:
        return as_it_is
    model.flat_functions.start()
    run: Run = model.flat_functions
    return run


def watched(model: Trainee) -> Iterator[Any]:
    """The objects whose attributes decide what a step does, the model first."""
    layers = list(all_layers(model))
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    variables += model.step_parts.variables
    loss = model.sample_loss
    metrics = list(model.metrics)
    metrics += [inner for metric in metrics for inner in getattr(metric, "metrics", ())]
    others = [model.optimizer, *metrics, model.sharpness, model.hyper_parameters, loss]
    others += [model.step_parts, *model.step_parts, None if loss is None else loss.loss]
    for each in (*layers, *others):
        yield each
        for value in vars(each).values() if hasattr(each, "__dict__") else ():
            # Schedules, regularisers, losses, the optimizer inside one of mixed precision.
            if hasattr(value, "get_config") and not isinstance(value, keras.Layer):
                yield value
    yield from variables
