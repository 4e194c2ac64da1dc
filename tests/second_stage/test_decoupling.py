"""tau-normalisation and nearest class mean, against explicit loops in float64."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import NearestClassMean, TauNormalization
from keras_ccsam.second_stage import choose_tau, extract_features, nearest_class_mean, tau_normalize
from tests.support import batch_norm_model, toy_batches


@pytest.fixture(scope="module")
def data():
    x, y = toy_batches(120)
    return cc.data.from_arrays(x, y, x_test=x[:20], y_test=y[:20], validation_fraction=0.3)


def model_with(head=None):
    """A head whose norms fall from class to class, as a long-tailed one's do."""
    model = batch_norm_model(head=head)
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(1)
    model.head.set_weights([rng.normal(size=w.shape) for w in model.head.weights])
    model.head.kernel.assign(model.head.kernel * np.array([4, 2, 1, 0.5, 0.25], "float32"))
    return model


def logits(model, x):
    return np.asarray(model.predict(x, verbose=0), "float64")


def kernel(model):
    return ops.convert_to_numpy(model.head.kernel).astype("float64")


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 2.0])
def test_tau_evens_out_the_norms_and_drops_the_bias(tau):
    model = model_with()
    before = kernel(model)
    tau_normalize(model, tau)
    for c in range(5):
        length = np.sqrt(sum(w * w for w in before[:, c]))
        np.testing.assert_allclose(kernel(model)[:, c], before[:, c] / length**tau, rtol=1e-5)
    assert (ops.convert_to_numpy(model.head.bias) == 0).all()


def test_a_zero_vector_stays_and_a_bias_is_no_need():
    model = model_with(keras.layers.Dense(5, use_bias=False))
    model.head.kernel.assign(kernel(model) * [1, 0, 1, 1, 1])
    tau_normalize(model)
    np.testing.assert_allclose(np.linalg.norm(kernel(model), axis=0), [1, 0, 1, 1, 1], rtol=1e-5)


def test_tau_is_chosen_by_balanced_accuracy():
    """With z = (4 h_1, h_2) class 0 wins where h_1 / h_2 > 4^(tau - 1).

    Class 0 has ten images at a ratio of 0.3 and ten at 2, class 1 four at 0.6. So tau = 0 is right
    on 20 of 24, and from 0.7 on (4^-0.3 = 0.66) it is 14 of 24: all of class 1, half of class 0.
    """
    inputs = keras.Input((2,))
    backbone = keras.Model(inputs, keras.layers.Identity()(inputs))
    model = cc.SharpnessAwareModel(backbone, keras.layers.Dense(2))
    start = [np.diag([4.0, 1.0]), np.array([0.0, 9.0])]  # a bias that would decide everything
    model.head.set_weights(start)
    x = np.array([[0.3, 1]] * 10 + [[2, 1]] * 10 + [[0.6, 1]] * 4, "float32")
    y = np.array([0] * 20 + [1] * 4)
    assert choose_tau(model, (x, y)) == 0.7
    assert choose_tau(model, (x, y), (2.0, 1.0, 0.0)) == 1.0
    assert choose_tau(model, (x, np.eye(2)[y]), (0.5, 1.4)) == 1.4
    assert choose_tau(model, (x[:20], y[:20])) == 0.0
    for a, b in zip(start, model.head.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_of_equal_taus_the_smallest(data):
    model = model_with()
    model.head.kernel.assign(kernel(model) / np.linalg.norm(kernel(model), axis=0))
    assert choose_tau(model, data.validation, (1.0, 0.25, 0.5)) == 0.25


def class_means(h, y):
    return [np.mean([row for row, c in zip(h, y, strict=True) if c == k], axis=0) for k in range(5)]


def nearest(h, means, metric):
    """(N, K): minus squared distances, or cosines."""
    rows = []
    for row in h:
        if metric == "euclidean":
            rows.append([-((row - mean) ** 2).sum() for mean in means])
        else:
            size = np.linalg.norm(row)
            rows.append([row @ mean / size / np.linalg.norm(mean) for mean in means])
    return np.array(rows)


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_the_nearest_mean_wins(data, metric, centred):
    model = model_with()
    x, y = data.train.arrays()
    h = extract_features(model, x).astype("float64")
    origin = h.mean(axis=0) if centred else 0.0
    h_test = extract_features(model, data.x_test).astype("float64") - origin
    expected = nearest(h_test, class_means(h - origin, y), metric)
    # Whatever the order and the augmentations of the batches:
    shuffled = data.batches(batch_size=7, sampler="class_balanced", augment=("flip",), seed=3)
    nearest_class_mean(model, shuffled, metric, centred)
    z = logits(model, data.x_test)
    of_features = (h_test**2).sum(axis=1, keepdims=True)
    found = z - of_features if metric == "euclidean" else z / np.sqrt(of_features)
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert (z.argmax(axis=1) == expected.argmax(axis=1)).all()


@pytest.mark.parametrize("centred", [False, True])
def test_features_of_norm_1_before_their_mean(data, centred):
    """Decoupling's l2n, and centred its cl2n."""
    model, plain = model_with(), model_with()
    x, y = data.train.arrays()
    h = extract_features(model, x).astype("float64")
    h_test = extract_features(model, data.x_test).astype("float64")
    origin = h.mean(axis=0) if centred else 0.0
    unit = (h - origin) / np.linalg.norm(h - origin, axis=1, keepdims=True)
    expected = nearest(h_test - origin, class_means(unit, y), "cosine")
    nearest_class_mean(model, data.train, centred=centred, normalized=True)
    z = logits(model, data.x_test)
    np.testing.assert_allclose(
        z / np.linalg.norm(h_test - origin, axis=1, keepdims=True), expected, atol=2e-5
    )
    nearest_class_mean(plain, data.train, centred=centred)
    assert np.abs(logits(plain, data.x_test) - z).max() > 1e-3
    with pytest.raises(ValueError, match=r"normalized=True needs metric='cosine'"):
        nearest_class_mean(plain, data.train, "euclidean", normalized=True)


def test_centring_makes_a_difference_to_cosines(data):
    plain, centred = model_with(), model_with()
    nearest_class_mean(plain, data.train)
    nearest_class_mean(centred, data.train, centred=True)
    assert (logits(plain, data.x_test).argmax(1) != logits(centred, data.x_test).argmax(1)).any()


@pytest.mark.parametrize(
    "head", [cc.heads.Cosine(5, scale=3.0), keras.layers.Dense(5, use_bias=False)], ids=str
)
def test_cosines_need_no_bias(data, head):
    model = model_with(head)
    x, y = data.train.arrays()
    h = extract_features(model, x).astype("float64")
    nearest_class_mean(model, (x, y))
    z = logits(model, x)
    cosines = (
        z / 3.0 if isinstance(head, cc.heads.Cosine) else z / np.linalg.norm(h, axis=1)[:, None]
    )
    np.testing.assert_allclose(cosines, nearest(h, class_means(h, y), "cosine"), atol=2e-5)


def test_from_fit(data):
    model = batch_norm_model()
    model.compile("sgd", "sparse_categorical_crossentropy")
    chosen, means = TauNormalization(validation=data.validation), NearestClassMean(data.train)

    class Trained(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.kernel, self.tau = kernel(self.model), choose_tau(self.model, data.validation)

    class Normalized(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            self.kernel = kernel(self.model)

    trained, normalized = Trained(), Normalized()
    model.fit(data.train, verbose=0, callbacks=[trained, chosen, normalized, means])
    assert chosen.tau == trained.tau
    norms = np.linalg.norm(trained.kernel, axis=0)
    np.testing.assert_allclose(normalized.kernel, trained.kernel / norms**chosen.tau, rtol=1e-5)
    after = kernel(model)
    nearest_class_mean(model, data.train)
    np.testing.assert_allclose(kernel(model), after, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(after, axis=0), 1.0, rtol=1e-5)
    fixed = TauNormalization(1.5)
    fixed.set_model(model_with())
    before = np.linalg.norm(kernel(fixed.model), axis=0)
    fixed.on_train_end()
    np.testing.assert_allclose(np.linalg.norm(kernel(fixed.model), axis=0), before**-0.5, rtol=1e-4)


def test_bad_input(data):
    dense, cosine = model_with(), model_with(cc.heads.Cosine(5))
    no_bias = model_with(keras.layers.Dense(5, use_bias=False))
    x, y = data.train.arrays()
    for call, words in [
        (lambda: tau_normalize(dense, -0.1), "tau=-0.1"),
        (lambda: tau_normalize(dense, float("nan")), "tau=nan"),
        (lambda: tau_normalize(cosine), "Cosine"),
        (lambda: tau_normalize(keras.Sequential([keras.layers.Dense(3)])), "Received: model="),
        (lambda: choose_tau(cosine, data.validation), "Cosine"),
        (lambda: choose_tau(dense, data.test), "split='test'"),
        (lambda: choose_tau(dense, data.validation, ()), "taus="),
        (lambda: choose_tau(dense, data.validation, (0.5, -1.0)), "tau=-1.0"),
        (lambda: choose_tau(dense, x), "data=ndarray"),
        (lambda: choose_tau(dense, (x, y + 1)), r"from 0 to 4.*=5"),
        (lambda: TauNormalization(), "tau=None"),
        (lambda: TauNormalization(1.0, data.validation), "tau=1.0"),
        (lambda: TauNormalization(-1.0), "tau=-1.0"),
        (lambda: TauNormalization(validation=data.test), "split='test'"),
        (lambda: nearest_class_mean(dense, data.train, "manhattan"), "metric='manhattan'"),
        (lambda: nearest_class_mean(dense, data.validation), "split='validation'"),
        (lambda: nearest_class_mean(dense, (x[y != 3], y[y != 3])), "no image of class 3"),
        (lambda: nearest_class_mean(cosine, data.train, "euclidean"), "metric='euclidean'"),
        (lambda: nearest_class_mean(cosine, data.train, centred=True), "centred=True"),
        (lambda: nearest_class_mean(no_bias, data.train, centred=True), "centred=True"),
        (lambda: nearest_class_mean(keras.Sequential(), data.train), "Received: model="),
        (lambda: NearestClassMean(data.test), "split='test'"),
        (lambda: NearestClassMean(data.train, "manhattan"), "metric='manhattan'"),
    ]:
        before = dense.head.get_weights()
        with pytest.raises(ValueError, match=words):
            call()
        for a, b in zip(before, dense.head.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_head_that_does_not_suit_shows_before_stage_1(data):
    for callback in (TauNormalization(1.0), NearestClassMean(data.train, "euclidean")):
        model = model_with(cc.heads.Cosine(5))
        before = model.head.get_weights()[0]
        with pytest.raises(ValueError, match="Cosine"):
            model.fit(data.train, verbose=0, callbacks=[callback])
        np.testing.assert_array_equal(before, model.head.get_weights()[0])
