"""Many Keras classifiers end in a softmax or a sigmoid; what is deployed starts from the logits."""

import keras

from keras_ccsam.heads.outputs import puts_out_logits


def before_activation(model: keras.Model) -> keras.Model:
    """The model up to its logits: without a softmax or sigmoid at its end, where it has one.

    Args:
        model: functional or sequential, with one input and one output. Its layers are shared, but
            for a Dense layer that has the activation itself, which is copied without it.
    """
    last = model.layers[-1] if model.layers else None
    if last is None or (puts_out_logits(last) and not isinstance(last, keras.layers.Softmax)):
        return model
    logits = last.input
    if isinstance(last, keras.layers.Dense):
        dense = keras.layers.Dense.from_config({**last.get_config(), "activation": "linear"})
        logits = dense(last.input)
        dense.set_weights(last.get_weights())
    elif not isinstance(last, keras.layers.Softmax | keras.layers.Activation):
        return model
    return keras.Model(model.inputs[0], logits, name=model.name)
