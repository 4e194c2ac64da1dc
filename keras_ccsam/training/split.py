"""Splits a Keras classifier into its backbone and its head."""

import keras

from keras_ccsam.heads import Activated
from keras_ccsam.layers.calls import Call, calls, has_own_call, input_structure


def split_classifier(model: keras.Model) -> tuple[keras.Model, keras.layers.Layer]:
    """The model up to its last Dense layer, and that layer; both share their layers with it.

    Args:
        model: a built functional or sequential model that ends in a `keras.layers.Dense`, or in one
            and a `Softmax` or `Activation` layer. The activation stays part of the head.

    Returns:
        (backbone, head).

    Raises:
        ValueError: if it is not such a model, with the reason and the way out.
    """
    if not isinstance(model, keras.Model):
        raise ValueError(
            "`model` must be a built Keras classifier, functional or sequential. "
            f"Received: model={model!r}"
        )
    way_out = "Pass `backbone=` and `head=` instead."
    if isinstance(model, keras.Sequential) and not model.built:
        raise ValueError(
            "The model must be built before it is split: give its first layer an input shape, or "
            f"call it once. Received: model={model.name!r}"
        )
    functional = isinstance(model, keras.Sequential) or hasattr(model, "operations")
    if not functional:
        raise ValueError(
            "Only functional and sequential models show their layers' order; this one is "
            f"subclassed. {way_out} Received: model={model.name!r} of {type(model).__name__}"
        )
    if has_own_call(model):
        raise ValueError(
            "Only what a model's layers compute is split, and this one's class computes something "
            f"else: it has a `call` of its own. {way_out} "
            f"Received: model={model.name!r} of {type(model).__name__}"
        )
    if len(model.outputs) != 1:
        raise ValueError(
            f"The model must have one output, the classifier's. {way_out} "
            f"Received: {len(model.outputs)} outputs"
        )
    made = calls(model)
    top = made[-1] if made else Call(model.layers[-1], [], None)
    activation = None
    if isinstance(top.layer, (keras.layers.Softmax, keras.layers.Activation)):
        activation, tensor = top.layer, top.inputs[0]
        top = next((call for call in made if call.output is tensor), top)
    dense = top.layer
    if not isinstance(dense, keras.layers.Dense):
        where = "end in a keras.layers.Dense classifier, with or without an activation after it"
        raise ValueError(
            f"The model must {where}. {way_out} "
            f"Received: last layer {dense.name!r} of {type(dense).__name__}"
        )
    _check_called_once(dense, made)
    head = dense if activation is None else Activated(dense, activation, name=dense.name)
    backbone = keras.Model(input_structure(model), top.inputs[0], name=f"{model.name}_backbone")
    return backbone, head


def _check_called_once(dense: keras.layers.Dense, made: list[Call]) -> None:
    """Refuses a classifier whose weights are those of a layer before it, too."""
    own = {id(weight) for weight in dense.weights}
    users = [call.layer for call in made if own & {id(w) for w in _weights(call.layer)}]
    if len(users) == 1:
        return
    inside = dict.fromkeys(repr(layer.name) for layer in users if layer is not dense)
    raise ValueError(
        "The last Dense layer must be called once, at the end; else the backbone has its weights, "
        "too. Let the other calls be of another layer. "
        f"Received: layer {dense.name!r}, which is called {len(users)} times"
        + (f", also in {', '.join(inside)}" if inside else "")
    )


def _weights(layer: object) -> list[keras.Variable]:
    return layer.weights if isinstance(layer, keras.Layer) else []
