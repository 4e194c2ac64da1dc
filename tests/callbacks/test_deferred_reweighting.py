"""Deferred re-weighting: when it begins, what it weighs, and that it leaves the rest alone."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import DeferredReweighting
from keras_ccsam.training import ClassWeighting
from tests.support import COUNTS, batch_norm_model, toy_batches


def model():
    built = batch_norm_model()
    built.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    return built


def weighting(built):
    return built.step_parts.find(ClassWeighting)


def weights(built):
    return [ops.convert_to_numpy(v) for v in built.backbone.weights + built.head.weights]


class Recorder(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(ops.convert_to_numpy(weighting(self.model).class_weights))


@pytest.mark.parametrize(
    ("start", "first"),
    [
        (0.5, 2),
        pytest.param(3, 3, marks=pytest.mark.any_backend),
        pytest.param(0, 0, marks=pytest.mark.any_backend),
    ],
)
def test_the_weights_begin_at_their_epoch_and_end_with_the_run(start, first):
    x, y = toy_batches()
    built, recorder = model(), Recorder()
    drw = DeferredReweighting(COUNTS, start)
    built.fit(x, y, batch_size=20, epochs=4, verbose=0, callbacks=[drw, recorder])
    for epoch, seen in enumerate(recorder.seen):
        expected = cc.losses.effective_number_weights(COUNTS) if epoch >= first else np.ones(5)
        np.testing.assert_allclose(seen, expected, rtol=1e-6)
    np.testing.assert_array_equal(ops.convert_to_numpy(weighting(built).class_weights), np.ones(5))


def test_uniform_weights_change_nothing():
    x, y = toy_batches()
    plain, ours = model(), model()
    fit = {"batch_size": 20, "epochs": 2, "shuffle": False, "verbose": 0}
    plain.fit(x, y, **fit)
    ours.fit(x, y, **fit, callbacks=[DeferredReweighting(COUNTS, 0, weights=[1.0] * 5)])
    for a, b in zip(weights(plain), weights(ours), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-7)


def test_it_is_torchs_weighted_mean():
    """One step on weights u equals one on sample weights u_i B / sum u, and not the plain step."""
    x, y = toy_batches(20)
    u = np.array([0.1, 0.5, 1.0, 2.0, 4.0], "float32")
    fit = {"batch_size": 20, "epochs": 1, "shuffle": False, "verbose": 0}
    ours, byhand, plain = model(), model(), model()
    ours.fit(x, y, **fit, callbacks=[DeferredReweighting(COUNTS, 0, weights=u.tolist())])
    byhand.fit(x, y, sample_weight=u[y] * 20 / u[y].sum(), **fit)
    plain.fit(x, y, **fit)
    for a, b in zip(weights(ours), weights(byhand), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    moved = max(np.abs(a - b).max() for a, b in zip(weights(ours), weights(plain), strict=True))
    assert moved > 1e-4


def test_a_mixed_sample_counts_both_its_labels():
    built = model()
    built.add_step_part(ClassWeighting())
    u = np.array([0.1, 0.5, 1.0, 2.0, 4.0], "float32")
    weighting(built).class_weights.assign(u)
    y = np.array([0, 4, 2], "int32")
    second = np.array([4, 0, 2], "int32")
    mixed = {"labels": y, "second_labels": second, "mix": np.full(3, 0.25, "float32")}
    own = np.array([2.0, 1.0, 0.5], "float32")
    got, sample_weight = weighting(built).targets(mixed, ops.convert_to_tensor(own))
    share = ops.convert_to_numpy(got["mix"])
    sample_weight = ops.convert_to_numpy(sample_weight)
    total = 0.25 * u[y] + 0.75 * u[second]
    scale = own * 3 / total.sum()
    np.testing.assert_allclose(share * sample_weight, 0.25 * u[y] * scale, rtol=1e-5)
    np.testing.assert_allclose((1 - share) * sample_weight, 0.75 * u[second] * scale, rtol=1e-5)


@pytest.mark.any_backend
def test_a_second_fit_without_it_is_unweighted():
    x, y = toy_batches()
    fit = {"batch_size": 20, "epochs": 1, "shuffle": False, "verbose": 0}
    built = model()
    built.fit(x, y, **fit, callbacks=[DeferredReweighting(COUNTS, 0)])
    other = model()
    other.set_weights(built.get_weights())
    for one in (built, other):
        one.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy")
        one.fit(x, y, **fit)
    for a, b in zip(weights(built), weights(other), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": 1.5}, "start=1.5"),
        ({"start": -1}, "start=-1"),
        ({"start": True}, "start=True"),
        ({"beta": 1.0}, "beta=1.0"),
        ({"weights": "effective"}, "did you mean 'effective_number'"),
        ({"weights": [1.0, 2.0]}, "5 positive numbers"),
        ({"weights": [1.0, 2.0, 0.0, 1.0, 1.0]}, "5 positive numbers"),
    ],
)
def test_bad_settings_are_refused_at_construction(options, message):
    with pytest.raises(ValueError, match=message):
        DeferredReweighting(COUNTS, **options)


def test_what_only_fit_can_know_is_refused_when_it_begins():
    x, y = toy_batches()
    with pytest.raises(ValueError, match="before the end of the 2 epochs"):
        model().fit(x, y, epochs=2, verbose=0, callbacks=[DeferredReweighting(COUNTS, 2)])
    with pytest.raises(ValueError, match="SharpnessAwareModel"):
        model().fit(x, y, epochs=2, verbose=0, callbacks=[DeferredReweighting([5, 3])])
    layers = [keras.Input((6, 6, 2)), keras.layers.Flatten(), keras.layers.Dense(1)]
    plain = keras.Sequential(layers)
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="SharpnessAwareModel"):
        plain.fit(x, y, epochs=2, verbose=0, callbacks=[DeferredReweighting(COUNTS)])
