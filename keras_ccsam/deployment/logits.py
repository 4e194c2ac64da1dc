"""Many Keras classifiers end in a softmax or a sigmoid; what is deployed starts from the logits."""

import keras

from keras_ccsam.heads.outputs import puts_out_logits
from keras_ccsam.layers.calls import calls


def before_activation(model: keras.Model) -> keras.Model:
    """The model up to its logits: without a softmax or sigmoid at its end, where it has one.

    Args:
        model: functional or sequential, with one input and one output. Its layers are shared, but
            for a Dense layer that has the activation itself, which is copied without it.
    """
    made = calls(model)
    if not made:
        return model
    last, tensors, _ = made[-1]
    if puts_out_logits(last) and not isinstance(last, keras.layers.Softmax):
        return model
    logits = tensors[0]
    if isinstance(last, keras.layers.Dense):
        config = {**last.get_config(), "activation": "linear"}
        if sum(call.layer is last for call in made) > 1:  # it stays in the model, with its name
            config["name"] += "_logits"
        dense = keras.layers.Dense.from_config(config)
        logits = dense(logits)
        dense.set_weights(last.get_weights())
    elif not isinstance(last, keras.layers.Softmax | keras.layers.Activation):
        return model
    return keras.Model(model.inputs[0], logits, name=model.name)
