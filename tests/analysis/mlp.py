"""The two-layer network of the reference numbers, which is float64 where it is told to be."""

import keras

import keras_ccsam as cc
from tests.support import vector

WEIGHTS = ("w1", "b1", "w2", "b2")


def tanh(x):
    """Keras' own is float32 on JAX."""
    if keras.backend.backend() == "jax":
        import jax.numpy as jnp

        return jnp.tanh(x)
    return keras.ops.tanh(x)


class Affine(keras.layers.Layer):
    """x @ w + b by operators: Keras' own product is float32 on JAX and PyTorch."""

    def __init__(self, units, activation=None, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.tanh = activation == "tanh"

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.bias = self.add_weight(shape=(self.units,), name="bias")
        self.built = True

    def call(self, x):
        z = x @ keras.ops.convert_to_tensor(self.kernel) + keras.ops.convert_to_tensor(self.bias)
        return tanh(z) if self.tanh else z

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.units)


def network(name):
    """The network of a file of reference numbers as a `CCSAM` model, with its data."""
    stored = vector(name)
    floatx = keras.config.floatx()
    x = stored["inputs"].astype(floatx)
    inputs = keras.Input((x.shape[1],))
    backbone = keras.Model(inputs, Affine(len(stored["b1"]), "tanh", name="hidden")(inputs))
    head = Affine(len(stored["b2"]), name="classifier")
    counts = stored["class_counts"].tolist()
    model = cc.CCSAM(backbone=backbone, head=head, class_counts=counts)
    for variable, key in zip(model.trainable_variables, WEIGHTS, strict=True):
        variable.assign(stored[key].astype(floatx))
    return model, x, stored["labels"].astype("int32"), stored
