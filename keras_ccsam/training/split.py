"""Splits a Keras classifier into its backbone and its head."""

from typing import Any

import keras

from keras_ccsam.heads import Activated


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
    if len(model.outputs) != 1:
        raise ValueError(
            f"The model must have one output, the classifier's. {way_out} "
            f"Received: {len(model.outputs)} outputs"
        )
    last = getattr(model, "operations", model.layers)[-1]
    activation = isinstance(last, (keras.layers.Softmax, keras.layers.Activation))
    dense = _before(model, last, way_out) if activation else last
    if not isinstance(dense, keras.layers.Dense):
        where = "end in a keras.layers.Dense classifier, with or without an activation after it"
        raise ValueError(
            f"The model must {where}. {way_out} "
            f"Received: last layer {dense.name!r} of {type(dense).__name__}"
        )
    features = _input(dense, way_out)
    head = Activated(dense, last, name=dense.name) if activation else dense
    return keras.Model(input_structure(model), features, name=f"{model.name}_backbone"), head


def input_structure(model: keras.Model) -> Any:
    """The symbolic inputs of a functional or sequential model: one, or a dict or list of them."""
    if len(model.inputs) == 1 and not isinstance(getattr(model, "input", None), dict):
        return model.inputs[0]
    return model.input


def _before(model: keras.Model, layer: keras.layers.Layer, way_out: str) -> keras.layers.Layer:
    """The layer that the last one takes its input from."""
    tensor = _input(layer, way_out)
    made = (step for step in model.layers if any(out is tensor for out in _outputs(step)))
    return next(made, layer)


def _outputs(layer: keras.layers.Layer) -> list[Any]:
    try:
        return list(keras.tree.flatten(layer.output))
    except (AttributeError, ValueError):
        return []  # called several times, or never


def _input(layer: keras.layers.Layer, way_out: str) -> Any:
    try:
        return layer.input
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"The last {type(layer).__name__} layer is called more than once, so its input is "
            f"ambiguous. {way_out} Received: layer={layer.name!r}"
        ) from error
