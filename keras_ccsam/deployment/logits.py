"""Many Keras classifiers end in a softmax or a sigmoid; what is deployed starts from the logits."""

from typing import Any

import keras

from keras_ccsam.heads.outputs import puts_out_logits
from keras_ccsam.layers.calls import Call, calls, has_own_call


def before_activation(model: keras.Model) -> keras.Model:
    """The model up to its logits: without a softmax or sigmoid at its end, where it has one.

    Args:
        model: functional or sequential, with one input and one output. Its layers are shared, but
            for a Dense layer that has the activation itself, which is copied without it. A model
            that is called last, as in `Sequential([scaling, trained])`, is looked into.

    Raises:
        ValueError: it ends in one, and its class has a `call` of its own that may do more.
    """
    made = calls(model)
    logits = _logits(made) if made else None
    if logits is None:
        return model
    if has_own_call(model):
        raise ValueError(
            "what is exported ends in its logits, and the activation at this model's end cannot be "
            "taken off: its class has a `call` of its own. Give a functional model. "
            f"Received: model={model.name!r} of {type(model).__name__}"
        )
    return keras.Model(model.inputs[0], logits, name=model.name)


def _logits(made: list[Call]) -> Any:
    """The symbolic logits; None where the last call puts them out itself."""
    last, tensors, _ = made[-1]
    if isinstance(last, keras.Model) and getattr(last, "inputs", None):
        inner = before_activation(last)
        return None if inner is last else inner(tensors[0])
    if not isinstance(last, keras.Layer):  # `keras.ops.softmax` itself
        return tensors[0] if type(last).__name__ in ("Softmax", "Sigmoid") else None
    if puts_out_logits(last) and not isinstance(last, keras.layers.Softmax):
        return None
    if isinstance(last, keras.layers.Softmax | keras.layers.Activation):
        return tensors[0]
    if not isinstance(last, keras.layers.Dense):
        return None
    config = {**last.get_config(), "activation": "linear"}
    if sum(call.layer is last for call in made) > 1:  # it stays in the model, with its name
        config["name"] += "_logits"
    dense = keras.layers.Dense.from_config(config)
    logits = dense(tensors[0])
    dense.set_weights(last.get_weights())
    return logits
