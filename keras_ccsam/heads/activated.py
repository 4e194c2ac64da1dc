"""A linear head whose activation is a layer of its own, as many Keras classifiers end.

Dense(K) -> Softmax()        Dense(1) -> Activation("sigmoid", dtype="float32")
"""

from typing import Any

import keras

from keras_ccsam.heads.dense import is_plain_dense
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class Activated(keras.layers.Layer):
    """A `Dense` without an activation, and the layer that follows it. Both are shared.

    Args:
        dense: a `keras.layers.Dense` without an activation, neither quantised nor with LoRA.
        activation_layer: a `keras.layers.Activation`, or a `keras.layers.Softmax` over the classes.
        **kwargs: of `keras.layers.Layer`. Its type is by default that of the last layer, often
            float32 under mixed precision.

    Raises:
        ValueError: for other layers.
    """

    def __init__(self, dense: keras.Layer, activation_layer: keras.Layer, **kwargs: Any) -> None:
        if not is_plain_dense(dense) or dense.activation is not keras.activations.linear:
            raise ValueError(
                "`dense` must be a plain keras.layers.Dense without an activation of its own. "
                f"Received: dense={dense!r}"
            )
        if not _acts_on_rows(activation_layer):
            raise ValueError(
                "`activation_layer` must be a keras.layers.Activation, or a keras.layers.Softmax "
                f"over the classes. Received: activation_layer={activation_layer!r}"
            )
        kwargs.setdefault("dtype", activation_layer.dtype_policy)
        super().__init__(**kwargs)
        self.dense = dense
        self.activation_layer = activation_layer

    @property
    def units(self) -> int:
        """The number of outputs."""
        return int(self.dense.units)

    @property
    def activation(self) -> Any:
        """The function that the last layer applies."""
        if isinstance(self.activation_layer, keras.layers.Softmax):
            return keras.activations.softmax
        return self.activation_layer.activation

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Builds the `Dense` where it is not yet."""
        if not self.dense.built:
            self.dense.build(input_shape)
        self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        """Outputs (B, units) of features (B, D)."""
        return self.activation_layer(self.dense(inputs))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """(B, units)."""
        return (*input_shape[:-1], self.units)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "dense": keras.saving.serialize_keras_object(self.dense),
            "activation_layer": keras.saving.serialize_keras_object(self.activation_layer),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Activated":
        """A head of layers of the same config, with fresh weights."""
        parts = {
            name: keras.saving.deserialize_keras_object(config[name])
            for name in ("dense", "activation_layer")
        }
        return cls(**{**config, **parts})


def plain_dense(head: keras.Layer) -> keras.layers.Dense | None:
    """The plain Dense that a head is, or that it puts an activation on; None for another head."""
    dense = head.dense if isinstance(head, Activated) else head
    return dense if is_plain_dense(dense) else None


def _acts_on_rows(layer: Any) -> bool:
    if type(layer) is keras.layers.Softmax:
        return layer.axis in (-1, 1)
    return type(layer) is keras.layers.Activation
