"""Layers and optimizers as they are before any training."""

import keras


def reinitialize(layer: keras.layers.Layer) -> None:
    """Draws a built layer's weights anew from its own initialisers."""
    fresh = type(layer).from_config(layer.get_config())
    fresh.build(tuple(layer.get_build_config()["input_shape"]))
    layer.set_weights(fresh.get_weights())


def unused(optimizer: keras.optimizers.Optimizer | str) -> keras.optimizers.Optimizer | str:
    """The optimizer, or one of the same config where its slots belong to other variables."""
    if isinstance(optimizer, keras.optimizers.Optimizer) and optimizer.built:
        return type(optimizer).from_config(optimizer.get_config())
    return optimizer
