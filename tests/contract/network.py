"""The small network that the contract suite trains each method on."""

from typing import Any

import keras
import numpy as np
from keras import ops

import keras_ccsam as cc
from tests.contract.registry import Method


def build(method: Method, regularised: bool = False, seed: int = 0) -> cc.SharpnessAwareModel:
    """A small network with BatchNorm, so that a method's side effects would show."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, kernel_regularizer="l2" if regularised else None)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.ReLU()(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    x = keras.layers.Dense(8, activation="tanh")(x)
    if regularised and method.activity:
        x = keras.layers.ActivityRegularization(l2=0.1)(x)
    model = cc.SharpnessAwareModel(keras.Model(inputs, x), method.head(), method.sharpness())
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    if keras.config.dtype_policy().name == "mixed_float16":
        # Keras' first scale overflows on large gradients, and skips the few steps that a test has.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=256.0)
    model.compile(optimizer, method.loss(), metrics=["accuracy"])
    return model


def outputs(model: Any, x: np.ndarray) -> np.ndarray:
    """What the model puts out, as numpy."""
    return ops.convert_to_numpy(model(x))
