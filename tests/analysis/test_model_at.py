"""Loss and accuracy per class at weights that are passed in."""

import keras
import numpy as np
import pytest

from keras_ccsam.analysis.model_at import ModelAt


@pytest.fixture(scope="module")
def network():
    inputs = keras.Input((6, 6, 1))
    x = keras.layers.Conv2D(4, 3)(inputs)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dropout(0.5)(x)))


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(23, 6, 6, 1)).astype("float32"), np.arange(23) % 3


def by_hand(network, x, y):
    z = keras.ops.convert_to_numpy(network(x, training=False)).astype("float64")
    losses = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]
    right = z.argmax(axis=1) == y
    return np.bincount(y, losses, 3), np.bincount(y, right, 3)


def test_totals_are_those_of_the_model_with_these_weights(network, data):
    at = ModelAt(network, *data, 3, batch_size=10)
    before = network.get_weights()
    found = at.totals(at.weights)
    loss, correct = by_hand(network, *data)
    np.testing.assert_allclose(found.loss, loss, rtol=1e-5)
    np.testing.assert_array_equal(found.correct, correct)
    np.testing.assert_array_equal(found.count, np.bincount(data[1]))

    moved = [w + 0.3 * np.sign(w) for w in at.weights]
    elsewhere = at.totals(moved)
    for value, kept in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, kept)
    other = keras.models.clone_model(network)
    other.set_weights(before)
    for variable, value in zip(other.trainable_variables, moved, strict=True):
        variable.assign(value)
    loss, correct = by_hand(other, *data)
    np.testing.assert_allclose(elsewhere.loss, loss, rtol=1e-5)
    np.testing.assert_array_equal(elsewhere.correct, correct)


def test_statistics_are_those_of_now(network, data):
    at = ModelAt(network, *data, 3, batch_size=10)
    at.totals(at.weights)
    norm = next(layer for layer in network.layers if hasattr(layer, "moving_mean"))
    norm.moving_mean.assign(norm.moving_mean + 1.0)
    np.testing.assert_allclose(at.totals(at.weights).loss, by_hand(network, *data)[0], rtol=1e-5)


def test_a_network_that_overflows_is_not_blamed_on_what_fills_up_a_batch(network, data):
    at = ModelAt(network, *data, 3, batch_size=10)
    broken = at.totals([np.full_like(w, np.inf) for w in at.weights])
    assert not np.isfinite(broken.loss).any()


def test_groups_are_sums_over_their_classes(network, data):
    found = ModelAt(network, *data, 3).totals(network.trainable_weights)
    loss, correct = by_hand(network, *data)
    few = np.isin(data[1], (1, 2)).sum()
    assert found.mean_loss([1, 2]) == pytest.approx(loss[1:].sum() / few, rel=1e-5)
    assert found.accuracy([1, 2]) == pytest.approx(correct[1:].sum() / few)
    assert found.mean_loss() == pytest.approx(loss.sum() / 23, rel=1e-5)


def test_wrong_input_is_named(network, data):
    with pytest.raises(ValueError, match="one label per sample"):
        ModelAt(network, data[0], data[1][:5], 3)
    with pytest.raises(ValueError, match="trainable weights"):
        ModelAt(keras.Sequential([keras.Input((2,)), keras.layers.ReLU()]), np.ones((1, 2)), [0], 2)
