"""Friendly SAM: its steps and its running mean against a loop in float64 derived by hand."""

import copy
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import OnNonfinite, RunState
from keras_ccsam.sharpness import SAM, FriendlySAM
from tests.sharpness import reference as ref
from tests.support import ONE_STEP, batch_norm_model, float_type, toy_batches, vector
from tests.training.test_vectors import close, two_layers

RHO, SIGMA, DECAY, RATE = 0.3, 0.8, 0.7, 0.05


def by_hand(v, batches):
    """The weights and the means after a step of SGD on each of the batches."""
    weights, means = ref.weights_of(v), [0.0, 0.0, 0.0, 0.0]
    for x, y in batches:
        at = {"x": x.astype("float64"), "targets": ref.one_hot(y)}
        share = np.full(len(y), 1.0 / len(y))
        gradient = ref.gradient(weights, coefficients=share, **at)
        means = [DECAY * m + (1.0 - DECAY) * g for m, g in zip(means, gradient, strict=True)]
        own = [g - SIGMA * m for g, m in zip(gradient, means, strict=True)]
        sharp = ref.gradient(ref.ascended(weights, own, RHO), coefficients=share, **at)
        weights = [w - RATE * g for w, g in zip(weights, sharp, strict=True)]
    return weights, means


def the_batches(v):
    """Three of one file, each with other rows."""
    x, y = v["inputs"], v["labels"].astype("int32")
    return [(x[rows], y[rows]) for rows in (slice(0, 12), slice(12, 20), slice(20, 32))]


def means_of(model):
    return [ops.convert_to_numpy(mean) for mean in model.hyper_parameters.means]


def check(tolerance=1e-5, scale=None):
    v = vector("sam_all_weights")
    model = two_layers(v, FriendlySAM(RHO, SIGMA, DECAY))
    optimizer = keras.optimizers.SGD(RATE, loss_scale_factor=scale)
    model.compile(optimizer, "sparse_categorical_crossentropy", **ONE_STEP)
    for x, y in the_batches(v):
        model.train_on_batch(x.astype(keras.config.floatx()), y)
    weights, means = by_hand(v, the_batches(v))
    for ours, theirs in zip(model.trainable_variables, weights, strict=True):
        close(ops.convert_to_numpy(ours), theirs, tolerance)
    for ours, theirs in zip(means_of(model), means, strict=True):
        close(ours, theirs, tolerance)


def test_three_steps_are_those_by_hand():
    """In float64, but on torch, where Keras computes in float32."""
    if keras.backend.backend() == "torch":
        check()
    else:
        with float_type("float64"):
            check(1e-10)


def test_the_mean_is_of_unscaled_gradients():
    check(scale=256.0)


def values(model):
    return [ops.convert_to_numpy(v) for v in model.trainable_variables]


def trained(method, adaptive=False, epochs=1):
    model = batch_norm_model(method, activity=None)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    x, y = toy_batches(36)
    model.fit(x, y, batch_size=12, epochs=epochs, shuffle=False, verbose=0)
    return values(model)


def test_without_the_mean_it_is_sam_bit_for_bit():
    sam = trained(SAM(0.1))
    for ours, theirs in zip(trained(FriendlySAM(0.1, sigma=0.0)), sam, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    other = trained(FriendlySAM(0.1))
    assert max(np.abs(a - b).max() for a, b in zip(other, sam, strict=True)) > 1e-4


def test_a_gradient_that_is_not_finite_stays_out_of_the_mean():
    """And a step that is left out leaves it as it was."""
    model = batch_norm_model(FriendlySAM(0.1), activity=None)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **ONE_STEP)
    x, y = toy_batches(24)
    x[:12] = np.float32(3e38)  # finite, and infinite once it is summed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the step that is left out
        model.fit(x, y, batch_size=12, shuffle=False, verbose=0, callbacks=[OnNonfinite("skip")])
    assert all(np.isfinite(mean).all() for mean in means_of(model))
    assert max(np.abs(mean).max() for mean in means_of(model)) > 0
    assert all(np.isfinite(value).all() for value in values(model))


def test_a_copy_of_a_model_has_means_of_its_own():
    x, y = toy_batches(24)
    model = batch_norm_model(FriendlySAM(0.1), activity=None)
    model.compile(keras.optimizers.SGD(0.1), "sparse_categorical_crossentropy", **ONE_STEP)
    model.train_on_batch(x[:12], y[:12])
    other = copy.deepcopy(model)
    before = means_of(model)
    other.train_on_batch(x[12:], y[12:])
    np.testing.assert_array_equal(
        np.concatenate([m.ravel() for m in means_of(model)]),
        np.concatenate([m.ravel() for m in before]),
    )
    model.train_on_batch(x[12:], y[12:])
    for ours, theirs in zip(means_of(other), means_of(model), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-7)


class Cut(Exception):
    """In place of a kill."""


class Cutter(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            raise Cut


def test_a_training_that_is_cut_goes_on_with_the_mean(tmp_path):
    x, y = toy_batches(60)
    batches = cc.data.from_arrays(x, y).batches("train", batch_size=10)

    def run(at, *callbacks, seed=5):
        model = batch_norm_model(FriendlySAM(0.1), seed=seed, activity=None)
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
        model.fit(batches.with_options(), epochs=2, verbose=0, callbacks=[Cutter(at), *callbacks])
        return [*values(model), *means_of(model)]

    whole = run(None)
    with pytest.raises(Cut):
        run(2, RunState(tmp_path / "state", 1))
    again = run(None, RunState(tmp_path / "state", 1), seed=6)
    for ours, theirs in zip(again, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_weight_that_had_no_mean_is_named():
    model = batch_norm_model(activity=None)
    model.backbone.trainable = False
    ours = cc.SharpnessAwareModel(model.backbone, model.head, FriendlySAM(0.1))
    model.backbone.trainable = True
    ours.compile("sgd", "sparse_categorical_crossentropy", **ONE_STEP)
    x, y = toy_batches(12)
    with pytest.raises(ValueError, match=r"freeze or release layers before .*weight='.*conv"):
        ours.train_on_batch(x, y)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: FriendlySAM(-1.0), r"`rho` .* rho=-1.0"),
        (lambda: FriendlySAM(sigma=-1.0), r"`sigma` .* sigma=-1.0"),
        (lambda: FriendlySAM(decay=1.0), r"`decay` .* decay=1.0"),
    ],
)
def test_values_out_of_range(build, message):
    with pytest.raises(ValueError, match=message):
        build()
