"""Hessian-vector products of real layers, against differences of the gradient in float64."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.analysis.loss_surface import LossSurface
from keras_ccsam.analysis.model_at import ModelAt
from keras_ccsam.analysis.weighted_batches import WeightedBatches
from keras_ccsam.training.split import split_classifier
from tests.support import float_type


def convolutional(pool):
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(4, 3, padding="same", strides=2)(inputs)
    x = keras.layers.BatchNormalization(momentum=0.5)(x)
    x = keras.layers.Activation("tanh")(x)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    x = pool(2)(x)
    x = keras.layers.Dropout(0.5)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Dense(3)(x))


# Keras computes BatchNorm and Dense in float32 on JAX and PyTorch, whatever it is told.
WIDE = keras.backend.backend() == "tensorflow"


def prepared(model, x, y):
    surface = LossSurface(ModelAt(model, x, y, 3))
    batches = list(WeightedBatches(x, y, np.full(len(y), 1 / len(y)), batch_size=8))
    assert len(batches) == 2
    return surface, batches


def assign(surface, flat):
    for variable, value in zip(surface.variables, surface._split(flat), strict=True):
        variable.assign(value)


@pytest.mark.parametrize("pool", [keras.layers.MaxPooling2D, keras.layers.AveragePooling2D])
def test_convolution_batch_norm_and_pooling(pool):
    rng = np.random.default_rng(0)
    with float_type("float64" if WIDE else "float32"):
        model = convolutional(pool)
        x = rng.normal(size=(13, 8, 8, 2)).astype(keras.config.floatx())
        model(x, training=True)  # statistics other than 0 and 1
        surface, batches = prepared(model, x, np.arange(13) % 3)
        vector = rng.normal(size=surface.size)
        vector /= np.linalg.norm(vector)
        product = surface.hessian_product(batches, vector)
        before, step = surface.weights, 1e-5 if WIDE else 1e-2
        ends = []
        for sign in (1, -1):
            assign(surface, before + sign * step * vector)
            ends.append(surface.gradient(batches))
        assign(surface, before)
    by_differences = (ends[0] - ends[1]) / (2 * step)
    scale = np.abs(product).max()
    assert scale > 1e-2
    np.testing.assert_allclose(product, by_differences, atol=(1e-7 if WIDE else 2e-3) * scale)
    # All of the weights take part: a product that lost a layer would be 0 there.
    for variable, part in zip(surface.variables, surface._split(product), strict=True):
        assert np.abs(keras.ops.convert_to_numpy(part)).max() > 1e-3 * scale, variable.path


def test_the_packages_own_faster_layers_have_the_same_hessian():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(13, 8, 8, 1)).astype("float32")
    keras.utils.set_random_seed(0)
    plain = cc.models.SmallCNN(input_shape=(8, 8, 1), width=4, features=8)
    plain = keras.Model(plain.input, keras.layers.Dense(3)(plain.outputs[0]))
    plain(x, training=True)
    backbone, head = split_classifier(plain)
    fast = cc.CCSAM(cc.models.accelerate(backbone), head=head, class_counts=[7, 4, 2])
    surface, batches = prepared(plain, x, np.arange(13) % 3)
    vector = rng.normal(size=surface.size)
    product = surface.hessian_product(batches, vector)
    own = prepared(fast, x, np.arange(13) % 3)[0].hessian_product(batches, vector)
    assert np.abs(product).max() > 1e-2
    np.testing.assert_allclose(own, product, atol=1e-4 * np.abs(product).max())


def test_what_a_loss_is_linear_in_has_no_curvature():
    from keras import ops

    from keras_ccsam import backend

    values = [ops.convert_to_tensor([1.0, 2.0]), ops.convert_to_tensor(3.0)]
    vectors = [ops.convert_to_tensor([1.0, -1.0]), ops.convert_to_tensor(2.0)]
    found = backend.hessian_vector_product(lambda v: ops.sum(v[0]), values, vectors)
    assert [ops.convert_to_numpy(each).tolist() for each in found] == [[0.0, 0.0], 0.0]
    found = backend.hessian_vector_product(lambda v: ops.sum(v[0] ** 3) + v[1], values, vectors)
    assert [ops.convert_to_numpy(each).tolist() for each in found] == [[6.0, -12.0], 0.0]
