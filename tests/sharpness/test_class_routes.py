"""The two-pass route against the loop over the classes, and when it is taken."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import keras_ccsam as cc
from keras_ccsam.sharpness import ClassConditional, class_conditional, class_routes
from keras_ccsam.sharpness.class_loop import perturbed_passes
from tests.support import COUNTS, batch_norm_model, step_gradients, toy_batches


def convolutional(x):
    x = layers.Conv2D(4, 3, kernel_regularizer="l2", name="conv")(x)
    x = layers.GroupNormalization(2, name="group")(x)
    x = layers.ReLU()(x)
    x = layers.DepthwiseConv2D(2, name="depth")(x)
    return layers.GlobalAveragePooling2D()(x)


def frozen_batch_norm(x):
    x = layers.Conv2D(4, 3, strides=2, name="conv")(x)
    x = layers.BatchNormalization(trainable=False, name="norm")(x)
    x = ops.pad(ops.relu(x)[:, ::2], ((0, 0), (1, 0), (0, 0), (0, 0)))
    return layers.Flatten()(x)


def perceptron(x):
    x = layers.Dense(6, activation="tanh", name="first")(layers.Flatten()(x))
    return layers.LayerNormalization(name="norm")(x)


def attention(x):
    x = layers.Dense(4, name="embed")(layers.Reshape((6, 12))(x))
    x = layers.Add()([x, layers.MultiHeadAttention(2, 3, name="attention")(x, x)])
    return layers.GlobalAveragePooling1D()(layers.LayerNormalization()(x))


def dropout(x):
    return layers.Dropout(0.3, seed=1)(perceptron(x))


def batch_mean(x):
    x = perceptron(x)
    return x - ops.mean(x, axis=0, keepdims=True)


def reversed_batch(x):
    return perceptron(x)[::-1]


def batch_softmax(x):
    return layers.Softmax(axis=0)(perceptron(x))


class Custom(layers.Layer):
    def call(self, inputs):
        return 2.0 * inputs


class Stated(Custom):
    samples_independent = True


class Inherited(Stated):
    def call(self, inputs):
        return inputs - ops.mean(inputs, axis=0)


class OwnCall(cc.SharpnessAwareModel):
    def call(self, inputs, training=None, return_features=False):
        return super().call(inputs, training, return_features)


def model(body, perturb="all", radius=0.5, kind=cc.SharpnessAwareModel, loss=None, **options):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    backbone = keras.Model(inputs, body(inputs))
    method = ClassConditional(COUNTS, radius, perturb=perturb, **options)
    net = kind(backbone, layers.Dense(5, name="classifier"), method)
    rng = np.random.default_rng(2)
    net.set_weights(
        [w + 0.1 * rng.uniform(size=w.shape).astype(w.dtype) for w in net.get_weights()]
    )
    net.sharpness.radius_scale.assign(radius)
    net.sharpness.flat_ratio.assign(0.6)
    net.compile("sgd", loss or "sparse_categorical_crossentropy")
    return net


def by_class(net):
    """The same model on the literal route."""
    net.sharpness._route = lambda model: None
    return net


def assert_same(ours, theirs, tolerance=1e-5):
    (named, loss), (expected, expected_loss) = ours, theirs
    np.testing.assert_allclose(loss, expected_loss, rtol=tolerance)
    for path, gradient, reference in zip(named, named.values(), expected.values(), strict=True):
        scale = max(1.0, np.abs(reference).max())
        np.testing.assert_allclose(
            gradient, reference, rtol=tolerance, atol=tolerance * scale, err_msg=path
        )


@pytest.mark.parametrize(
    ("body", "perturb", "chunk"),
    [
        (convolutional, "all", None),
        (convolutional, "group|classifier", 5),
        (frozen_batch_norm, "all", 5),
        (perceptron, "all", 4),
        (attention, "all", None),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_equals_the_loop_over_the_classes(body, perturb, chunk):
    """Absent and single classes, weights, mixed labels; chunks that divide the batch or not."""
    x, y = toy_batches(14)
    y[y == 3] = 0
    target = {
        "labels": y,
        "second_labels": y[::-1].copy(),
        "mix": np.linspace(0.2, 1.0, 14).astype("float32"),
    }
    weight = ops.convert_to_tensor(np.linspace(0.0, 2.0, 14).astype("float32"))
    routed = step_gradients(model(body, perturb, chunk=chunk), x, target, weight)
    net = by_class(model(body, perturb))
    assert_same(routed, step_gradients(net, x, target, weight))
    net.sharpness.radius_scale.assign(0.0)
    plain, _ = step_gradients(net, x, target, weight)
    pairs = zip(plain.values(), routed[0].values(), strict=True)
    moved = max(np.abs(a - b).max() for a, b in pairs)
    assert moved > 1e-3, "the comparison would not see a perturbation of zero"
