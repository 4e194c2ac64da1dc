"""Two classes told apart by one output, against gradients derived by hand in float64."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.labels import class_indices

COUNTS = (900, 30)  # negatives, positives
RADIUS, SHARE, RATE = 0.4, 0.6, 0.5
HEADS = {
    "sigmoid": ("sigmoid", "binary_crossentropy"),
    "logits": (None, "binary_crossentropy"),
    "logits object": (None, keras.losses.BinaryCrossentropy(from_logits=True)),
}


def data(samples, seed=0):
    rng = np.random.default_rng(seed)
    y = (rng.random(samples) < 0.3).astype("int32")
    y[:2] = 0, 1
    return rng.normal(size=(samples, 4)).astype("float32") + 0.8 * y[:, None], y


def two_layers(activation=None):
    keras.utils.set_random_seed(3)
    inputs = keras.Input((4,))
    hidden = keras.layers.Dense(3, activation="tanh", bias_initializer="glorot_normal")(inputs)
    outputs = keras.layers.Dense(1, activation=activation, bias_initializer="normal")(hidden)
    return keras.Model(inputs, outputs)


def gradient(weights, x, y, share):
    """Of sum_i share_i (-log p_i(y_i)) for the two layers' four weights."""
    w1, b1, w2, b2 = weights
    hidden = np.tanh(x @ w1 + b1)
    p = 1.0 / (1.0 + np.exp(-(hidden @ w2 + b2)))
    by_logit = share[:, None] * (p - y[:, None])
    by_hidden = by_logit @ w2.T * (1.0 - hidden**2)
    return [x.T @ by_hidden, by_hidden.sum(0), hidden.T @ by_logit, by_logit.sum(0)]


def norm(tensors):
    return np.sqrt(sum(np.sum(t**2) for t in tensors))


def ccsam_gradient(weights, x, y, chosen):
    """(1 - lambda) grad L(w) + lambda sum_c grad L_c(w + eps_c), class by class."""
    size = len(y)
    total = [(1 - SHARE) * g for g in gradient(weights, x, y, np.full(size, 1.0 / size))]
    k = sum(weights[i].size for i in chosen)
    for c in np.unique(y):
        member = np.equal(y, c).astype("float64")
        g = gradient(weights, x, y, member / member.sum())
        length = norm([g[i] for i in chosen])
        radius = np.sqrt(norm([weights[i] for i in chosen]) / (2 * length))
        radius *= k**-0.25 * (COUNTS[c] - 1.0) ** -0.25
        step = RADIUS * np.sqrt(k) * radius
        moved = [w + step * g[i] / length * (i in chosen) for i, w in enumerate(weights)]
        flat = gradient(moved, x, y, member / size)
        total = [a + SHARE * b for a, b in zip(total, flat, strict=True)]
    return total


def numpy(weights):
    return [np.asarray(ops.convert_to_numpy(w), "float64") for w in weights]


@pytest.mark.parametrize(
    ("head", "samples", "column", "perturb"),
    [
        ("sigmoid", 24, False, "head"),
        pytest.param("sigmoid", 24, True, "head", marks=pytest.mark.any_backend),
        ("sigmoid", 24, False, "all"),
        ("logits", 24, False, "head"),
        ("logits", 200, False, "head"),  # by the class means, not by the Gram matrix
        pytest.param("logits", 24, True, "all", marks=pytest.mark.any_backend),
        pytest.param("logits object", 24, False, "head", marks=pytest.mark.any_backend),
    ],
)
def test_a_step_is_the_explicit_loop_over_the_two_classes(head, samples, column, perturb):
    activation, loss = HEADS[head]
    x, y = data(samples)
    model = two_layers(activation)
    ours = cc.CCSAM.from_model(
        model, COUNTS, radius_scale=RADIUS, flat_ratio=SHARE, perturb=perturb
    )
    ours.compile(keras.optimizers.SGD(RATE), loss)
    before = numpy(model.weights)
    ours.fit(x, y[:, None] if column else y, batch_size=samples, verbose=0)
    chosen = (2, 3) if perturb == "head" else (0, 1, 2, 3)
    expected = ccsam_gradient(before, np.asarray(x, "float64"), y, chosen)
    plain = gradient(before, x, y, np.full(samples, 1.0 / samples))
    for old, new, g, p in zip(before, numpy(model.weights), expected, plain, strict=True):
        np.testing.assert_allclose((old - new) / RATE, g, atol=2e-5 if activation else 5e-6)
        assert np.abs(g - p).max() > 1e-4  # the radius tells


def test_radius_zero_is_keras_own_step():
    x, y = data(24)
    ours, plain = two_layers("sigmoid"), two_layers("sigmoid")
    wrapped = cc.CCSAM.from_model(ours, COUNTS, radius_scale=0.0)
    for model in (wrapped, plain):
        model.compile(keras.optimizers.SGD(RATE), "binary_crossentropy")
        model.fit(x, y, batch_size=12, shuffle=False, verbose=0)
    for a, b in zip(ours.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_stage_two_moves_features_against_the_one_output():
    """AdversarialFeatures, omega in the radius, by hand."""
    x, y = data(20)
    inputs = keras.Input((4,))
    head = keras.layers.Dense(1)
    method = cc.sharpness.AdversarialFeatures(COUNTS, strength=1.5, alpha=0.7)
    model = cc.SharpnessAwareModel(
        keras.Model(inputs, keras.layers.Identity()(inputs)), head, method
    )
    model.compile(keras.optimizers.SGD(RATE), "binary_crossentropy")
    before = numpy(head.weights)
    model.fit(x, y, batch_size=20, verbose=0)

    h, (w, b) = np.asarray(x, "float64"), before

    def by_logit(features):
        return 1.0 / (1.0 + np.exp(-(features @ w + b))) - y[:, None]

    ascent = by_logit(h) @ w.T
    moved = h.copy()
    for c in (0, 1):
        member = np.equal(y, c)
        omega = np.log(max(COUNTS) / COUNTS[c] + 0.01) / 2
        moved[member] += 1.5 * omega * ascent[member] / norm([ascent[member]])
    kernel = (0.3 * h.T @ by_logit(h) + 0.7 * moved.T @ by_logit(moved)) / len(y)
    bias = (0.3 * by_logit(h) + 0.7 * by_logit(moved)).mean(axis=0)
    for old, new, g in zip(before, numpy(head.weights), (kernel, bias), strict=True):
        np.testing.assert_allclose((old - new) / RATE, g, atol=5e-6)


@pytest.mark.parametrize(
    "activation", ["sigmoid", pytest.param(None, marks=pytest.mark.any_backend)]
)
def test_both_stages_evaluation_saving_and_export(activation, tmp_path):
    x, y = data(240)
    images = x.reshape(-1, 2, 2, 1)
    keras.utils.set_random_seed(0)
    inputs = keras.Input((2, 2, 1))
    hidden = keras.layers.Dense(8, activation="tanh")(keras.layers.Flatten()(inputs))
    network = keras.Model(inputs, keras.layers.Dense(1, activation=activation)(hidden))
    parts = cc.data.from_arrays(images, y)
    model = cc.CCSAM.from_model(network, parts.class_counts, radius_scale=0.05)
    groups = cc.metrics.group_metrics(parts.class_counts, from_logits=activation is None)
    ece = cc.metrics.ExpectedCalibrationError(from_logits=activation is None)
    model.compile(
        keras.optimizers.SGD(0.5),
        "binary_crossentropy",
        metrics=["accuracy", *groups, ece],
    )
    stage2 = cc.callbacks.ClassifierRetraining(parts.train, epochs=2, verbose=0)
    model.fit(parts.train.with_options(batch_size=32), epochs=4, verbose=0, callbacks=[stage2])

    report = cc.evaluate(model, parts.train)
    assert report.confusion.shape == (2, 2)
    assert report.overall > 0.8
    logs = model.evaluate(images, y, verbose=0, return_dict=True)
    # Keras' own metric would compare logits with 0.5.
    assert logs["accuracy"] == pytest.approx(report.overall, abs=1e-6)
    assert logs["balanced_accuracy"] == pytest.approx(report.balanced, abs=1e-6)
    assert logs["ece"] == pytest.approx(report.ece, abs=1e-5)
    assert logs["loss"] == pytest.approx(report.nll, abs=1e-5)

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    plain = model.export_plain()
    assert plain.output_shape == (None, 1)
    for other in (loaded, network):
        assert cc.evaluate(other, parts.train).nll == pytest.approx(report.nll, abs=1e-6)
    found = cc.evaluate(plain, parts.train, from_logits=activation is None)
    assert found.nll == pytest.approx(report.nll, abs=1e-6)
    loaded.fit(images, y, verbose=0)


def test_deferred_reweighting_weights_the_two_classes():
    x, y = data(24)
    weights = (0.5, 1.5)

    model = two_layers()
    before = numpy(model.weights)
    ours = cc.CCSAM.from_model(model, COUNTS, radius_scale=0.0)
    ours.compile(keras.optimizers.SGD(RATE), "binary_crossentropy")
    drw = cc.callbacks.DeferredReweighting(COUNTS, start=0, weights=weights)
    ours.fit(x, y, batch_size=24, verbose=0, callbacks=[drw])
    by_class = np.take(weights, y)
    expected = gradient(before, np.asarray(x, "float64"), y, by_class / by_class.sum())
    for old, new, g in zip(before, numpy(model.weights), expected, strict=True):
        np.testing.assert_allclose((old - new) / RATE, g, atol=5e-6)


def binary(loss="binary_crossentropy", activation=None, **kwargs):
    model = cc.CCSAM.from_model(two_layers(activation), COUNTS, **kwargs)
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    ("loss", "activation", "words"),
    [
        (cc.losses.LogitAdjustment(COUNTS), None, r"one per class.*Dense\(2\)"),
        (cc.losses.Focal(), None, r"one per class.*Dense\(2\)"),
        (cc.losses.LDAM(COUNTS), None, r"one per class.*Dense\(2\)"),
        ("sparse_categorical_crossentropy", None, "binary_crossentropy"),
        ("categorical_crossentropy", "sigmoid", "binary_crossentropy"),
        (keras.losses.CategoricalFocalCrossentropy(from_logits=True), None, "binary_crossentropy"),
        ("binary_crossentropy", "softmax", "softmax of one output"),
    ],
)
def test_what_needs_a_column_per_class_says_so(loss, activation, words):
    with pytest.raises(ValueError, match=words):
        binary(loss, activation)


@pytest.mark.parametrize(
    "change",
    [
        cc.second_stage.tau_normalize,
        lambda model: cc.second_stage.nearest_class_mean(model, data(20)),
        lambda model: model.fit(
            *data(20),
            callbacks=[
                cc.callbacks.ClassifierRetraining(
                    cc.data.from_arrays(
                        np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), "uint8"),
                        data(20)[1],
                    ).train,
                    learn="scales",
                )
            ],
        ),
    ],
)
def test_what_compares_the_classes_weights_says_so(change):
    with pytest.raises(ValueError, match=r"one output.*Dense\(2\)"):
        change(binary())


def test_logit_adjustment_after_training_shifts_the_one_bias():
    x, y = data(40)
    model = binary()
    folded = cc.evaluate(model, (x, y), COUNTS, logit_adjustment=0.7)
    cc.second_stage.adjust_bias(model, COUNTS, 0.7)
    found = cc.evaluate(model, (x, y), COUNTS)
    np.testing.assert_array_equal(found.confusion, folded.confusion)
    assert found.nll == pytest.approx(folded.nll, abs=1e-6)


def test_class_counts_are_those_of_negatives_and_positives():
    with pytest.raises(ValueError, match="each of the 2 classes; it has 3"):
        cc.CCSAM.from_model(two_layers(), [10, 5, 2])


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.array([0, 1, 2, 0]), r"0 or 1.*labels\[2\]=2"),
        (np.array([0, -1, 1, 0]), r"0 or 1.*labels\[1\]=-1"),
        (np.eye(2)[[0, 1, 1, 0]], r"shape \(samples,\).*\(4, 2\)"),
    ],
)
def test_labels_that_cannot_be(labels, words):
    with pytest.raises(ValueError, match=words):
        binary().fit(data(4)[0], labels)


def test_a_smoothed_label_is_of_the_nearer_class():
    x, y = data(24)
    soft = np.where(y == 1, 0.95, 0.05).astype("float32")
    for labels in (soft, soft[:, None]):
        found = class_indices(ops.convert_to_tensor(labels))
        np.testing.assert_array_equal(ops.convert_to_numpy(found), y)
        binary(radius_scale=0.1).fit(x, labels, verbose=0)
