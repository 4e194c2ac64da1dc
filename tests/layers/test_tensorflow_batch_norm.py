"""TensorFlow's fused BatchNorm: taken for images on CPUs, with Keras' results."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from keras_ccsam import backend
from keras_ccsam import layers as fast

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="of the TensorFlow adapter"
)


def images(shape=(3, 7, 6, 4)):
    return np.random.default_rng(1).normal(1.0, 2.0, shape).astype("float32")


def kernel(x, axis=-1, statistics=None):
    return backend.batch_normalization(ops.convert_to_tensor(x), None, None, statistics, axis, 1e-3)


def test_the_kernel_gives_the_biased_variance_of_the_batch():
    x = images()
    outputs, mean, variance = kernel(x)
    wide = x.astype("float64")
    expected = wide.var((0, 1, 2))
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(variance, expected, rtol=1e-5)
    normal = (wide - wide.mean((0, 1, 2))) / np.sqrt(expected + 1e-3)
    np.testing.assert_allclose(outputs, normal, atol=1e-5)


def test_it_is_taken_for_images_with_channels_last_in_training_only():
    statistics = (ops.zeros(4), ops.ones(4))
    assert kernel(images(), axis=3) is not None
    assert kernel(images(), axis=1) is None
    assert kernel(images((5, 4))) is None
    assert kernel(images().astype("float64")) is None
    assert kernel(images(), statistics=statistics) is None


@pytest.mark.parametrize("jit_compile", [False, True])
def test_compiled_for_batches_of_any_size(jit_compile):
    import tensorflow as tf

    own = fast.BatchNormalization(momentum=0.5)
    stock = layers.BatchNormalization(momentum=0.5)
    for layer in (own, stock):
        layer.build((None, 7, 6, 4))

    def outputs_and_gradient(layer):
        signature = [tf.TensorSpec([None, 7, 6, 4], tf.float32)]

        @tf.function(input_signature=signature, jit_compile=jit_compile)
        def compiled(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                outputs = layer(x, training=True)
                loss = tf.reduce_sum(outputs**3)
            return outputs, tape.gradient(loss, x)

        return compiled

    compiled = [outputs_and_gradient(layer) for layer in (own, stock)]
    for count in (3, 5):
        x = tf.constant(images((count, 7, 6, 4)))
        for mine, its in zip(*(function(x) for function in compiled), strict=True):
            np.testing.assert_allclose(mine, its, atol=2e-4)
        np.testing.assert_allclose(own.moving_variance, stock.moving_variance, rtol=1e-5)
        np.testing.assert_allclose(own.moving_mean, stock.moving_mean, rtol=1e-5)


def test_second_derivatives_are_those_of_the_formula():
    """Keras' own are not: `tf.nn.moments` takes the mean in the variance for a constant."""
    import tensorflow as tf

    def formula(x):
        mean = tf.reduce_mean(x, (0, 1, 2))
        variance = tf.reduce_mean(tf.square(x - mean), (0, 1, 2))
        return (x - mean) / tf.sqrt(variance + 1e-3)

    found = []
    for normalise in (lambda x: kernel(x)[0], formula):
        x = tf.constant(images((2, 3, 3, 2)))
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                loss = tf.reduce_sum(normalise(x) ** 3)
            along = tf.reduce_sum(inner.gradient(loss, x) * tf.sin(x))
        found.append(outer.gradient(along, x))
    np.testing.assert_allclose(found[0], found[1], atol=1e-4)
