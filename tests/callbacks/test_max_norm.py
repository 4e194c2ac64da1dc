"""MaxNorm: projected gradient descent on a classifier, against a loop in float64 by hand."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import MaxNorm, RunState
from keras_ccsam.second_stage import Retraining
from tests.support import batch_norm_model, toy_batches

RNG = np.random.default_rng(0)
X = RNG.normal(size=(36, 1, 1, 6)).astype("float32")
Y = (np.arange(36) % 4).astype("int32")
KERNEL = (RNG.normal(size=(6, 4)) * np.array([2.0, 1.0, 0.5, 0.25])).astype("float32")
# Between the epochs nothing is a backend's own.
EVERY = ("step", pytest.param("epoch", marks=pytest.mark.any_backend))
RATE, MOMENTUM, DECAY, EPOCHS, BATCH = 0.5, 0.9, 0.01, 3, 12


def linear():
    inputs = keras.Input((1, 1, 6))
    backbone = keras.Model(inputs, keras.layers.Flatten()(inputs))
    model = cc.SharpnessAwareModel(backbone, keras.layers.Dense(4), weight_decay=DECAY)
    model.head.set_weights([KERNEL, np.zeros(4, "float32")])
    optimizer = keras.optimizers.SGD(RATE, momentum=MOMENTUM)
    model.compile(optimizer, "sparse_categorical_crossentropy")
    return model


def fitted(*callbacks):
    model = linear()
    model.fit(
        X, Y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    return [ops.convert_to_numpy(weight) for weight in model.head.weights]


def norms(kernel):
    return np.sqrt(np.sum(np.square(kernel), axis=0))


def shortened(kernel, bound):
    columns = [v * min(1.0, bound / np.sqrt(np.sum(v * v))) for v in kernel.T]
    return np.stack(columns, axis=1)


def by_hand(share, every):
    """Softmax regression with momentum and decay; no automatic differentiation."""
    weights = [KERNEL.astype("float64"), np.zeros(4)]
    velocity = [np.zeros((6, 4)), np.zeros(4)]
    lengths = norms(weights[0])
    bound = lengths.min() + share * (lengths.max() - lengths.min())
    for _ in range(EPOCHS):
        for start in range(0, 36, BATCH):
            rows = slice(start, start + BATCH)
            x, y = X[rows].reshape(BATCH, 6).astype("float64"), Y[rows]
            p = np.exp(x @ weights[0] + weights[1])
            p /= p.sum(axis=1, keepdims=True)
            delta = (p - np.eye(4)[y]) / BATCH
            for i, gradient in enumerate((x.T @ delta, delta.sum(axis=0))):
                velocity[i] = MOMENTUM * velocity[i] - RATE * (gradient + DECAY * weights[i])
                weights[i] = weights[i] + velocity[i]
            if every == "step":
                weights[0] = shortened(weights[0], bound)
        if every == "epoch":
            weights[0] = shortened(weights[0], bound)
    return weights, bound


@pytest.mark.parametrize("every", EVERY)
def test_the_classifier_is_that_by_hand(every):
    expected, bound = by_hand(0.1, every)
    callback = MaxNorm(0.1, every)
    found = fitted(callback)
    assert callback.bound == pytest.approx(bound, rel=1e-6)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)
    # The two ways differ, the bound is met by the largest columns, and unbound they were longer.
    other = by_hand(0.1, "epoch" if every == "step" else "step")[0][0]
    assert np.abs(found[0] - other).max() > 0.05
    assert norms(found[0]).max() == pytest.approx(bound, rel=1e-5)
    assert norms(fitted()[0]).max() > 1.5 * bound


@pytest.mark.parametrize("every", EVERY)
def test_above_every_norm_it_changes_no_bit(every):
    for ours, theirs in zip(fitted(MaxNorm(1000.0, every)), fitted(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_no_bound_is_left_for_a_later_fit():
    def twice(*callbacks):
        model = linear()
        model.fit(X[:12], Y[:12], batch_size=12, epochs=1, verbose=0, callbacks=list(callbacks))
        model.head.set_weights([10.0 * KERNEL, np.zeros(4, "float32")])
        model.fit(X[:12], Y[:12], batch_size=12, epochs=1, verbose=0)
        return norms(ops.convert_to_numpy(model.head.kernel)).max()

    assert twice(MaxNorm(0.0)) > 10.0


class Cut(Exception):
    """In place of a kill."""


class Cutter(keras.callbacks.Callback):
    def __init__(self, at):
        super().__init__()
        self.at = at

    def on_train_batch_end(self, batch, logs=None):
        if batch == self.at:
            raise Cut


@pytest.mark.any_backend
@pytest.mark.parametrize("every", ["step", "epoch"])
def test_a_training_that_is_cut_keeps_the_bound_of_its_beginning(every, tmp_path):
    batches = cc.data.from_arrays(X, Y).batches("train", batch_size=BATCH)

    def run(at, *callbacks):
        model, bounding = linear(), MaxNorm(0.1, every)
        every_one = [bounding, Cutter(at), *callbacks]
        model.fit(batches.with_options(), epochs=EPOCHS, verbose=0, callbacks=every_one)
        return bounding.bound, [ops.convert_to_numpy(weight) for weight in model.head.weights]

    bound, whole = run(None)
    with pytest.raises(Cut):
        run(1, RunState(tmp_path / "state", 1))
    again, weights = run(None, RunState(tmp_path / "state", 1))
    assert again == bound
    for ours, theirs in zip(weights, whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.any_backend
def test_in_a_second_stage():
    x, y = toy_batches(36)
    model = batch_norm_model(activity=None)
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = norms(ops.convert_to_numpy(model.head.kernel))
    callback = MaxNorm(0.0)
    stage = Retraining(epochs=2, adversarial=False, batch_size=12)
    stage.run(model, (x, y), callbacks=[callback])
    after = norms(ops.convert_to_numpy(model.head.kernel))
    assert callback.bound == pytest.approx(before.min(), rel=1e-6)
    assert after.max() <= callback.bound * (1 + 1e-6)


@pytest.mark.any_backend
def test_what_cannot_be_bounded_is_refused():
    with pytest.raises(ValueError, match=r"`share` .* share=-0\.1"):
        MaxNorm(-0.1)
    with pytest.raises(ValueError, match=r"'step', 'epoch'.*every='batch'"):
        MaxNorm(every="batch")
    x, y = toy_batches(12)
    cosine = batch_norm_model(head=cc.heads.Cosine(5), activity=None)
    cosine.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"the columns of a plain keras\.layers\.Dense"):
        cosine.fit(x, y, verbose=0, callbacks=[MaxNorm()])
    scaled = batch_norm_model(activity=None)
    scaled.compile("sgd", "sparse_categorical_crossentropy")
    stage = Retraining(epochs=1, adversarial=False, learn="scales", weight_decay=0.0)
    with pytest.raises(ValueError, match=r"the columns of a plain keras\.layers\.Dense"):
        stage.run(scaled, (x, y), callbacks=[MaxNorm()])
    frozen = batch_norm_model(activity=None)
    frozen.head.trainable = False
    frozen.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="kernel, which this stage does not train"):
        frozen.fit(x, y, verbose=0, callbacks=[MaxNorm()])
