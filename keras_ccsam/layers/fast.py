"""Which of Keras' layers have a faster twin here, and the way from one to the other."""

from typing import TypeVar

import keras

from keras_ccsam.layers.attention import MultiHeadAttention
from keras_ccsam.layers.batch_normalization import BatchNormalization
from keras_ccsam.layers.convolution import (
    AveragePooling2D,
    Conv2D,
    DepthwiseConv2D,
    MaxPooling2D,
    SeparableConv2D,
)
from keras_ccsam.layers.dense import Dense
from keras_ccsam.layers.layer_normalization import LayerNormalization
from keras_ccsam.layers.walk import all_layers, sees_rows

L = TypeVar("L", bound=keras.Layer)

FAST: dict[type, type] = {
    keras.layers.AveragePooling2D: AveragePooling2D,
    keras.layers.BatchNormalization: BatchNormalization,
    keras.layers.Conv2D: Conv2D,
    keras.layers.Dense: Dense,
    keras.layers.DepthwiseConv2D: DepthwiseConv2D,
    keras.layers.LayerNormalization: LayerNormalization,
    keras.layers.MaxPooling2D: MaxPooling2D,
    keras.layers.MultiHeadAttention: MultiHeadAttention,
    keras.layers.SeparableConv2D: SeparableConv2D,
}
STOCK = {fast: stock for stock, fast in FAST.items()}


def switch(model: L, twins: dict[type, type]) -> L:
    """Gives each layer inside a model its twin's class, in place; returns the model.

    Twins have the same state and the same arguments, so no object need be built anew. A Dense of
    one row per sample, as a classifier is, has nothing to gain and stays what it is.
    """
    for layer in all_layers(model):
        twin = twins.get(type(layer))
        if twin is not None and not (twin is Dense and sees_rows(layer)):
            layer.__class__ = twin
    return model


def stock_type(layer: keras.Layer) -> type:
    """The layer's type; of a fast layer, that of the Keras layer that it computes."""
    kind = type(layer)
    return STOCK.get(kind, kind)
