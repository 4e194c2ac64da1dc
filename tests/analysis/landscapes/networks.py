"""The networks of the reference numbers, and what a landscape of them must be."""

from typing import Any

import keras
import numpy as np

from keras_ccsam.analysis.landscapes import Directions

NAMES = ("w1", "b1", "w2", "b2")


class Wide(keras.layers.Dense):
    """A Dense layer that keeps to its type: Keras' own computes in float32 on JAX and torch."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        z = inputs @ self.kernel.value + self.bias.value
        return wide_tanh(z) if self.activation is keras.activations.tanh else z


class WideMean(keras.layers.Layer):
    """The mean over positions in the type of its inputs; Keras' own takes it in float32."""

    def call(self, inputs: Any) -> Any:
        size, channels = inputs.shape[1] * inputs.shape[2], inputs.shape[3]
        row = keras.ops.convert_to_tensor(np.full((1, size), 1.0 / size))
        return keras.ops.reshape(
            row @ keras.ops.reshape(inputs, (-1, size, channels)), (-1, channels)
        )


def wide_tanh(z: Any) -> Any:
    """tanh in the type of z: `keras.ops.tanh` computes in float32 on JAX and torch."""
    return 2.0 * keras.ops.sigmoid(2.0 * z) - 1.0


def network_of(given: dict[str, np.ndarray]) -> keras.Model:
    """The trained network of `landscape_mlp` or `landscape_conv`."""
    wide = keras.config.floatx() == "float64"
    dense = Wide if wide else keras.layers.Dense
    inputs = keras.Input(given["inputs"].shape[1:])
    if given["w1"].ndim == 4:
        # The convolution itself is in float64 on all backends.
        activation = wide_tanh if wide else "tanh"
        x = keras.layers.Conv2D(given["w1"].shape[-1], 3, activation=activation)(inputs)
        x = (WideMean() if wide else keras.layers.GlobalAveragePooling2D())(x)
    else:
        x = dense(given["w1"].shape[-1], activation="tanh")(inputs)
    model = keras.Model(inputs, dense(given["w2"].shape[-1])(x))
    model.set_weights([given[name] for name in NAMES])
    return model


def directions_of(given: dict[str, np.ndarray], kind: str = "direction") -> list[list[Any]]:
    """The two directions of the file, `"raw"` or filter-normalised."""
    return [[given[f"{kind}{number}_{name}"] for name in NAMES] for number in (0, 1)]


def given_directions(given: dict[str, np.ndarray]) -> Directions:
    """The file's filter-normalised directions as ours."""
    norm = float(np.sqrt(np.sum(given["w1"] ** 2) + np.sum(given["w2"] ** 2)))
    return Directions.of("filter", None, directions_of(given), norm, "")
