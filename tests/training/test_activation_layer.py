"""Classifiers that end in a Dense and then an activation layer of its own."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from tests.support import COUNTS, toy_batches

LAST = {
    "Softmax": lambda: keras.layers.Softmax(),
    "Activation": lambda: keras.layers.Activation("softmax", dtype="float32"),
}


def classifier(last=None, sequential=False):
    keras.utils.set_random_seed(0)
    layers = [
        keras.Input((6, 6, 2)),
        keras.layers.Conv2D(4, 3, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(5, activation=None if last else "softmax", name="top"),
        *([LAST[last]()] if last else []),
    ]
    if sequential:
        return keras.Sequential(layers)
    outputs = layers[0]
    for layer in layers[1:]:
        outputs = layer(outputs)
    return keras.Model(layers[0], outputs)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("perturb", ["head", "all"])
@pytest.mark.parametrize(
    "last", ["Softmax", pytest.param("Activation", marks=pytest.mark.any_backend)]
)
def test_the_step_is_that_of_a_dense_with_that_activation(last, perturb):
    x, y = toy_batches(24)

    def trained(model):
        ours = cc.CCSAM.from_model(model, COUNTS, radius_scale=0.3, perturb=perturb)
        assert isinstance(cc.heads.closed_form(ours.head), cc.heads.DenseClosedForm)
        assert not cc.heads.puts_out_logits(ours.head)
        ours.compile(keras.optimizers.SGD(0.1), loss="sparse_categorical_crossentropy")
        if perturb == "all":  # its passes go sample by sample, not class by class
            assert ours.coupling.reason is None
        ours.fit(x, y, epochs=2, batch_size=12, shuffle=False, verbose=0)
        return ours

    model = classifier(last)
    ours, expected = trained(model), trained(classifier())
    for a, b in zip(ours.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    # The layers are shared: training the one has trained the other.
    np.testing.assert_allclose(numpy(model(x)), numpy(ours(x)), atol=1e-6)
    np.testing.assert_allclose(numpy(ours(x)).sum(axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("sequential", [False, pytest.param(True, marks=pytest.mark.any_backend)])
def test_saved_exported_and_evaluated(sequential, tmp_path):
    x, y = toy_batches(24)
    ours = cc.CCSAM.from_model(classifier("Activation", sequential), COUNTS)
    ours.compile("sgd", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    ours.fit(x, y, verbose=0)
    ours.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    plain = ours.export_plain()
    assert not any(type(layer).__module__.startswith("keras_ccsam") for layer in plain.layers)
    for other in (loaded, plain):
        np.testing.assert_allclose(numpy(other(x)), numpy(ours(x)), atol=1e-5)
    loaded.fit(x, y, verbose=0)
    report = cc.evaluate(ours, (x, y), COUNTS)
    assert report.nll == pytest.approx(cc.evaluate(ours, (x, y), COUNTS, from_logits=False).nll)


@pytest.mark.parametrize(
    "learn", [pytest.param("classifier", marks=pytest.mark.any_backend), "scales"]
)
def test_the_second_stage(learn):
    x, y = toy_batches(60)
    data = cc.data.from_arrays(x, y)
    ours = cc.CCSAM.from_model(classifier("Softmax"), data.class_counts)
    ours.compile("sgd", loss="sparse_categorical_crossentropy")
    before = ours.head.get_weights()
    stage2 = cc.callbacks.ClassifierRetraining(data.train, epochs=2, learn=learn, batch_size=12)
    ours.fit(data.train, verbose=0, callbacks=[stage2])
    after = ours.head.get_weights()
    assert any(np.abs(a - b).max() > 0 for a, b in zip(before, after, strict=True))
    np.testing.assert_allclose(numpy(ours(x)).sum(axis=1), 1.0, atol=1e-5)


def test_without_training():
    x, y = toy_batches(60)
    ours = cc.CCSAM.from_model(classifier("Softmax"), COUNTS)
    logits = cc.heads.logits_before_activation(ours.head, numpy(ours.backbone(x)))
    cc.second_stage.adjust_bias(ours, COUNTS)
    shift = np.log(np.divide(COUNTS, sum(COUNTS)))
    expected = numpy(ops.softmax(numpy(logits) - shift))
    np.testing.assert_allclose(numpy(ours(x)), expected, atol=1e-5)
    cc.second_stage.tau_normalize(ours, 1.0)
    np.testing.assert_allclose(np.linalg.norm(ours.head.dense.kernel, axis=0), 1.0, atol=1e-5)
    cc.second_stage.nearest_class_mean(ours, (x, y), centred=True)


def ends_in(*layers):
    outputs = inputs = keras.Input((4,))
    for layer in layers:
        outputs = layer(outputs)
    return keras.Model(inputs, outputs)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: ends_in(keras.layers.Dense(5, "relu"), keras.layers.Softmax()), "of its own"),
        (lambda: ends_in(keras.layers.Dense(5), keras.layers.Softmax(axis=0)), "over the classes"),
        (lambda: ends_in(keras.layers.ReLU(), keras.layers.Softmax()), "Received: last layer 're"),
        (lambda: ends_in(keras.layers.Dense(5), ops.relu, keras.layers.Softmax()), "must end in"),
        (lambda: ends_in(keras.layers.Dense(5), ops.softmax), "of Softmax"),
    ],
)
def test_other_ends_are_refused_with_the_reason(make, words):
    with pytest.raises(ValueError, match=words):
        cc.CCSAM.from_model(make(), class_counts=COUNTS)
