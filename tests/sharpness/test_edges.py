"""Edges of the first stage, on each of its three routes."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.sharpness import ClassConditional
from tests.support import FixedFeatures, step_gradients

COUNTS = [30, 12, 4, 1]


class NoForm(keras.layers.Dense):
    """A Dense head without a closed form."""


ROUTES = {
    "closed form": ("head", keras.layers.Dense),
    "cosine": ("head", lambda n, name: cc.heads.Cosine(n, scale=4.0, name=name)),
    "head loop": ("head", NoForm),
    "network loop": ("top|features", keras.layers.Dense),
}


def model(route, features, radius=0.5, ratio=0.5, counts=COUNTS):
    keras.utils.set_random_seed(0)
    perturb, head = ROUTES[route]
    method = ClassConditional(counts, radius, ratio, perturb)
    built = cc.SharpnessAwareModel(FixedFeatures(features), head(4, name="top"), method)
    built.compile("sgd", "sparse_categorical_crossentropy")
    return built


def gradients(route, y, sample_weight=None, features=None, **options):
    y = np.asarray(y, "int32")
    if features is None:
        features = np.random.default_rng(0).normal(size=(len(y), 6)).astype("float32")
    built = model(route, features, **options)
    x = np.zeros((len(y), 1), "float32")
    if sample_weight is not None:
        sample_weight = ops.convert_to_tensor(np.asarray(sample_weight, "float32"))
    named, loss = step_gradients(built, x, y, sample_weight)
    return {path.rsplit("/", 1)[-1]: g for path, g in named.items()}, loss


@pytest.mark.parametrize("route", ROUTES)
def test_a_masked_class_takes_no_step_and_gives_no_nan(route):
    y = [0, 0, 1, 1, 2, 3]
    got, loss = gradients(route, y, sample_weight=[1, 1, 0, 0, 1, 1])
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in got.values())
    if "features" in got:
        np.testing.assert_array_equal(got["features"][2:4], 0.0)


@pytest.mark.parametrize("route", ["closed form", "head loop", "network loop"])
def test_a_class_fitted_perfectly_gives_no_nan(route):
    features = 200.0 * np.eye(4, 6, dtype="float32")
    features[3] = 0.1
    built = model(route, features)
    built.head.set_weights([np.eye(6, 4, dtype="float32"), np.zeros(4, "float32")])
    named, loss = step_gradients(built, np.zeros((4, 1), "float32"), np.arange(4, dtype="int32"))
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in named.values())


@pytest.mark.parametrize("route", ROUTES)
def test_a_class_that_the_batch_lacks_takes_no_part(route):
    """A batch of one class included: the counts of the others do not matter, that of its own does.

    n_c = 1 counts as 2, where the factor (n_c - 1)^(-1/4) would be infinite.
    """
    for y in ([3, 3, 3], [1, 3, 3, 1]):
        got, loss = gradients(route, y)
        others, other_loss = gradients(route, y, counts=[99, 12, 77, 2])
        assert np.isfinite(loss)
        np.testing.assert_array_equal(loss, other_loss)
        for name, value in got.items():
            assert np.isfinite(value).all()
            np.testing.assert_array_equal(value, others[name], err_msg=name)
    _, nearer = gradients(route, [3, 3, 3], counts=[30, 12, 4, 40])
    assert nearer < gradients(route, [3, 3, 3])[1]  # the rarer, the longer the step


@pytest.mark.parametrize("route", ROUTES)
def test_the_order_of_the_samples_does_not_matter(route):
    y = np.array([0, 0, 1, 1, 2, 3, 0, 2])
    features = np.random.default_rng(0).normal(size=(8, 6)).astype("float32")
    order = np.random.default_rng(1).permutation(8)
    one, loss = gradients(route, y, features=features)
    other, other_loss = gradients(route, y[order], features=features[order])
    np.testing.assert_allclose(loss, other_loss, rtol=1e-5)
    np.testing.assert_allclose(one["kernel"], other["kernel"], atol=1e-6)


@pytest.mark.parametrize("route", ["head loop", "network loop"])
def test_the_loop_and_the_closed_form_are_one_method(route):
    """Weighted samples included: the class mean stays a mean over |B_c|."""
    y = [0, 0, 1, 1, 2, 3, 0]
    weights = [0.2, 1.0, 3.0, 1.0, 0.5, 2.0, 1.0]

    def own(route):
        if route != "network loop":
            return gradients(route, y, weights)
        saved = ROUTES[route]
        ROUTES[route] = ("top", keras.layers.Dense)
        try:
            return gradients(route, y, weights)
        finally:
            ROUTES[route] = saved

    (one, loss), (other, other_loss) = own("closed form"), own(route)
    np.testing.assert_allclose(loss, other_loss, rtol=1e-5)
    for key in one:
        np.testing.assert_allclose(one[key], other[key], atol=2e-6, err_msg=key)


@pytest.mark.parametrize("reduction", ["sum", "mean_with_sample_weight"])
def test_the_losss_own_reduction_is_kept(reduction):
    """At a radius of almost nothing the loss must be what Keras' loss object gives."""
    y = np.array([0, 0, 1, 2, 3], "int32")
    weights = np.array([0.5, 1.0, 2.0, 1.0, 3.0], "float32")
    features = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction=reduction)
    for route in ("closed form", "network loop"):
        built = model(route, features, radius=1e-9)
        built.compile("sgd", loss)
        x = np.zeros((5, 1), "float32")
        _, ours = step_gradients(built, x, y, ops.convert_to_tensor(weights))
        expected = ops.convert_to_numpy(loss(y, built(x), weights))
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


@pytest.mark.parametrize("loss", ["mse", "categorical_focal_crossentropy", "function"])
def test_any_per_sample_loss(loss):
    """The closed form takes the loss's own derivative, not softmax minus one-hot."""
    y = np.eye(4, dtype="float32")[[0, 0, 1, 2, 3, 1]]
    features = np.random.default_rng(0).normal(size=(6, 6)).astype("float32")

    def cubed(y_true, y_pred):
        return ops.sum(ops.abs(y_true - y_pred) ** 3, axis=-1)

    results = []
    for route in ("closed form", "head loop"):
        built = model(route, features)
        built.compile("sgd", cubed if loss == "function" else loss)
        named, value = step_gradients(built, np.zeros((6, 1), "float32"), y)
        results.append((list(named.values()), value))
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5)
    for a, b in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


class Warm(keras.layers.Layer):
    """A head with a closed form of its own, and a softmax after it."""

    def __init__(self, activation=None):
        super().__init__()
        self.inner, self.units = keras.layers.Dense(4, name="inner"), 4
        self.activation = keras.activations.get(activation)

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.built = True

    def call(self, inputs):
        return self.activation(self.inner(inputs))

    @property
    def perturbed_weights(self):
        return cc.heads.DenseClosedForm(self.inner).perturbed_weights

    def class_gradients(self, *arguments):
        return cc.heads.DenseClosedForm(self.inner).class_gradients(*arguments)


@pytest.mark.parametrize("activation", [None, "softmax"])
def test_a_heads_own_closed_form_and_its_activation(activation):
    """With a softmax the logits cannot be had: the class loop takes over, with the same result."""
    y = np.array([0, 0, 1, 1, 2, 3, 0], "int32")
    features = np.random.default_rng(0).normal(size=(7, 6)).astype("float32")
    results = []
    for head in (Warm(activation), keras.layers.Dense(4)):
        built = model("closed form", features)
        built = cc.SharpnessAwareModel(FixedFeatures(features), head, built.sharpness)
        head.set_weights([np.eye(6, 4, dtype="float32"), np.zeros(4, "float32")])
        built.compile("sgd", "sparse_categorical_crossentropy")
        named, loss = step_gradients(built, np.zeros((7, 1), "float32"), y)
        results.append((list(named.values()), loss))
    np.testing.assert_allclose(results[0][1], results[1][1], rtol=1e-5)
    for a, b in zip(results[0][0], results[1][0], strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)
