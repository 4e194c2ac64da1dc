"""Splits a Keras classifier into its backbone and its head."""

import keras


def split_classifier(model: keras.Model) -> tuple[keras.Model, keras.layers.Layer]:
    """The model up to its last Dense layer, and that layer; both share their layers with it.

    Args:
        model: a built functional or sequential model whose last layer is a `keras.layers.Dense`.
            A softmax as that layer's activation stays part of the head.

    Returns:
        (backbone, head).

    Raises:
        ValueError: if it is not such a model, with the reason and the way out.
    """
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
    last = model.layers[-1]
    if isinstance(last, (keras.layers.Softmax, keras.layers.Activation)):
        raise ValueError(
            f"The model ends in a layer of its own for the activation ({last.name!r}). Build it "
            "with that activation on the Dense layer, or without it and a loss with "
            f"from_logits=True. Received: last layer {type(last).__name__}"
        )
    if not isinstance(last, keras.layers.Dense):
        raise ValueError(
            f"The model must end in a keras.layers.Dense classifier. {way_out} "
            f"Received: last layer {last.name!r} of {type(last).__name__}"
        )
    try:
        features = last.input
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"The last Dense layer is called more than once, so its input is ambiguous. {way_out} "
            f"Received: layer={last.name!r}"
        ) from error
    return keras.Model(model.inputs, features, name=f"{model.name}_backbone"), last
