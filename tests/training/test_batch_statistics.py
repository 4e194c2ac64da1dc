"""Batch statistics against numpy, and what computing them must leave alone."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.training.batch_statistics import (
    batch_norms,
    batch_statistics,
    recompute_batch_statistics,
)
from tests.support import batch_norm_inputs, batch_norm_model, toy_batches


def as_numpy(variables):
    return [np.array(ops.convert_to_numpy(v.value)) for v in variables]


@pytest.fixture
def model():
    model = batch_norm_model(dropout=0.5)
    norm = model.backbone.get_layer("norm")
    norm.moving_mean.assign(np.full(4, 1e4, "float32"))
    norm.moving_variance.assign(np.full(4, 1e4, "float32"))
    return model


def test_one_batch_and_nothing_is_written(model):
    x, _ = toy_batches(20)
    before = as_numpy(model.variables)
    pairs = batch_statistics(model, ops.convert_to_tensor(x))
    norm = model.backbone.get_layer("norm")
    assert pairs[0][0] is norm.moving_mean and pairs[1][0] is norm.moving_variance
    seen = batch_norm_inputs(model, x)
    for (_, value), expected in zip(
        pairs, (seen.mean((0, 1, 2)), seen.var((0, 1, 2))), strict=True
    ):
        # An old value of 1e4 that were subtracted would leave an error of 1e-1.
        np.testing.assert_allclose(ops.convert_to_numpy(value), expected, rtol=2e-5, atol=2e-6)
    for old, new in zip(before, as_numpy(model.variables), strict=True):
        np.testing.assert_array_equal(old, new)


def test_at_other_weights(model):
    x, _ = toy_batches(20)
    conv = model.backbone.get_layer("conv")
    state = [(v, ops.convert_to_tensor(v.value)) for v in model.variables if v is not conv.kernel]
    pairs = batch_statistics(
        model, ops.convert_to_tensor(x), [*state, (conv.kernel, 2.0 * conv.kernel.value)]
    )
    conv.kernel.assign(2.0 * conv.kernel.value)
    expected = batch_norm_inputs(model, x).var((0, 1, 2))
    np.testing.assert_allclose(ops.convert_to_numpy(pairs[1][1]), expected, rtol=2e-5)


def test_recomputed_statistics_are_plain_means_over_batches(model):
    x, y = toy_batches(50)
    batches = cc.data.from_arrays(x, y).batches(batch_size=16, drop_remainder=False)
    norm = model.backbone.get_layer("norm")
    written = {id(norm.moving_mean), id(norm.moving_variance)}
    others = [v for v in model.variables if id(v) not in written]
    before = as_numpy(others)
    recompute_batch_statistics(model, batches)
    sizes = [len(batches[step][0]) for step in range(len(batches))]
    assert sizes[-1] < sizes[0], "the last batch must count as much as a full one"
    batches.set_epoch(0)
    seen = [batch_norm_inputs(model, batches[step][0]) for step in range(len(batches))]
    means = np.mean([s.mean((0, 1, 2)) for s in seen], axis=0)
    variances = np.mean([s.var((0, 1, 2)) for s in seen], axis=0)
    np.testing.assert_allclose(as_numpy([norm.moving_mean])[0], means, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(as_numpy([norm.moving_variance])[0], variances, rtol=2e-5)
    for old, new in zip(before, as_numpy(others), strict=True):
        np.testing.assert_array_equal(old, new)


def test_an_unseeded_dropout_does_not_move_the_global_generator():
    x, y = toy_batches(50)
    inputs = keras.Input((6, 6, 2))
    hidden = keras.layers.BatchNormalization()(keras.layers.Dropout(0.5)(inputs))
    model = keras.Model(inputs, hidden)
    probe = keras.layers.Dropout(0.5)  # on torch it draws from the global generator
    keras.utils.set_random_seed(3)
    expected = ops.convert_to_numpy(probe(ops.ones((40,)), training=True))
    keras.utils.set_random_seed(3)
    probe = keras.layers.Dropout(0.5)
    recompute_batch_statistics(model, cc.data.from_arrays(x, y).batches(batch_size=16))
    actual = ops.convert_to_numpy(probe(ops.ones((40,)), training=True))
    if keras.backend.backend() == "torch":
        np.testing.assert_array_equal(actual, expected)
    assert np.ptp(as_numpy([model.layers[-1].moving_variance])[0]) > 0


def test_which_layers(model):
    norm = model.backbone.get_layer("norm")
    assert batch_norms(model) == [norm]
    frozen = cc.second_stage.RetrainingModel(model.backbone, model.head)
    updating = cc.second_stage.RetrainingModel(model.backbone, model.head, batch_norm="update")
    assert batch_norms(frozen) == [] and batch_norms(updating) == [norm]
    norm.trainable = False
    assert batch_norms(model) == []
    # Nothing to do, so nothing is read.
    recompute_batch_statistics(model, None)


def test_a_norm_inside_a_wrapper_is_found():
    wrapped = keras.layers.TimeDistributed(keras.layers.BatchNormalization())
    assert batch_norms(keras.Sequential([wrapped])) == [wrapped.layer]


def test_renormalisation_is_refused():
    layer = keras.layers.BatchNormalization(renorm=True, name="re")
    with pytest.raises(ValueError, match="layer='re' with renorm=True"):
        batch_norms(layer)
