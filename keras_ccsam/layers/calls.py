"""What a functional or sequential network calls, and on what.

`layer.input` does not tell: of a layer that is called several times, or in other networks too, it
gives the first call's. A `Sequential` read from a file has called its layers several times.
"""

from typing import Any, NamedTuple

import keras


class Call(NamedTuple):
    """One call.

    Attributes:
        layer: what is called; of `keras.ops`, an operation.
        inputs: the symbolic tensors among its arguments.
        output: what it gives, symbolic.
    """

    layer: Any
    inputs: list[keras.KerasTensor]
    output: Any


def calls(model: keras.Model) -> list[Call]:
    """Every call on the way from a built model's inputs to its outputs, in an order that computes.

    Keras shows calls only to who makes them again, so this makes them again, on the model's own
    inputs. Of a model with one output the last call is the one that gives it. Models inside are
    called as layers are.

    Args:
        model: functional, or sequential and built.
    """
    found = []

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        output = layer(*args, **kwargs)
        given = keras.tree.flatten((args, kwargs))
        inputs = [each for each in given if isinstance(each, keras.KerasTensor)]
        found.append(Call(layer, inputs, output))
        return output

    view = _view(model)  # to clone a compiled model would compile the clone
    keras.models.clone_model(
        view, input_tensors=view.input, clone_function=lambda layer: layer, call_function=call
    )
    return found


def has_own_call(model: keras.Model) -> bool:
    """Whether a functional or sequential model's class computes something else than its layers do.

    A subclass of such a model may define `call`, which `calls` would leave out.
    """
    is_sequential = isinstance(model, keras.Sequential)
    plain: Any = keras.Sequential if is_sequential else type(_view(model))
    return type(model).call is not plain.call


def _view(model: keras.Model) -> keras.Model:
    """A model of the same layers that is not compiled and not of the user's class."""
    return keras.Model(input_structure(model), model.outputs)


def input_structure(model: keras.Model) -> Any:
    """The symbolic inputs of a functional or sequential model: one, or a dict or list of them."""
    if len(model.inputs) == 1 and not isinstance(getattr(model, "input", None), dict):
        return model.inputs[0]
    return model.input
