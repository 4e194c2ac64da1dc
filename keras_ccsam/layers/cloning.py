"""Copies of a network with some of its layers replaced."""

from collections.abc import Callable
from typing import Any

import keras

from keras_ccsam.layers.fast import STOCK, switch
from keras_ccsam.layers.spectral_normalization import SpectralNormalization
from keras_ccsam.layers.walk import all_layers


def clone_network(model: keras.Model, replace: Callable[[Any], Any]) -> keras.Model:
    """A copy of a functional or sequential model, weights included.

    Args:
        model: built; models nested in it are copied layer by layer as well.
        replace: maps a layer to the built layer that takes its place, or to None where a copy of
            the layer does.

    Raises:
        ValueError: if the model is neither functional nor sequential.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            "Only a built functional or sequential model can be rebuilt layer by layer. "
            f"Received: model of {type(model).__name__}"
        )
    copies: list[tuple[Any, Any]] = []

    def clone(layer: Any) -> Any:
        if not isinstance(layer, keras.Layer):  # an operation such as ops.pad: no state
            return layer
        replacement = replace(layer)
        if replacement is not None:
            return replacement
        copy = type(layer).from_config(layer.get_config())
        copies.append((layer, copy))
        return copy

    network = keras.models.clone_model(model, clone_function=clone, recursive=True)
    for layer, copy in copies:
        copy.set_weights(layer.get_weights())
    return network


def plain_backbone(backbone: keras.Model) -> keras.Model:
    """The same network in stock layers, weights included.

    Normalised kernels are folded into plain ones, and the twins of `keras_ccsam.layers` become the
    Keras layers that they compute.

    Args:
        backbone: functional or sequential. Its inference outputs are those of the copy.

    Raises:
        ValueError: if it is neither.
    """
    copy = clone_network(
        backbone,
        lambda layer: layer.plain() if isinstance(layer, SpectralNormalization) else None,
    )
    return switch(copy, STOCK)


def has_own_layers(model: keras.Layer) -> bool:
    """Whether a layer of the model, or of one nested in it, is one of this package."""
    return any(
        isinstance(layer, SpectralNormalization) or type(layer) in STOCK
        for layer in all_layers(model)
    )
