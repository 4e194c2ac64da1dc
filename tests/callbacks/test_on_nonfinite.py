"""A step that would put NaN into the weights: it stops the training, is left out or taken back.

The third of five batches has a sample with 1e25, of which the network makes NaN.
"""

import contextlib
import re
import warnings

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam.callbacks import OnNonfinite
from keras_ccsam.callbacks.nonfinite_cause import Moment, likely_cause
from keras_ccsam.training.finite_steps import FiniteSteps
from tests.support import COUNTS, toy_batches

BATCH, BAD = 12, 2


class Breaks(keras.Layer):
    """NaN for what is huge, on each backend alike."""

    def call(self, inputs):
        return ops.where(ops.abs(inputs) > 6e4, float("nan"), inputs)


def data(bad: bool = True) -> tuple[np.ndarray, np.ndarray]:
    x, y = toy_batches()
    x = x.astype("float32")
    if bad:
        x[BAD * BATCH + 1, 0, 0, 0] = 1e25
    return x, y


@contextlib.contextmanager
def told(text: str):
    """What is warned of in the block; pytest's own repeats what others may warn of."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        yield
    assert any(text in str(warning.message) for warning in found)


def model(optimizer=None, method=None):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.Conv2D(4, 3, kernel_regularizer="l2")(Breaks()(inputs))
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    backbone = keras.Model(inputs, keras.layers.Dropout(0.2, seed=7)(x))
    method = method or cc.sharpness.ClassConditional(COUNTS)
    made = cc.SharpnessAwareModel(backbone, keras.layers.Dense(5, name="classifier"), method)
    made.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return made


def fit(made, callback, x=None, y=None, epochs=1, verbose=0):
    if x is None:
        x, y = data()
    return made.fit(
        x, y, batch_size=BATCH, epochs=epochs, shuffle=False, verbose=verbose, callbacks=[callback]
    )


def state(made) -> dict[str, np.ndarray]:
    parts = [*made.variables, *made.optimizer.variables, *made.metrics_variables]
    values = [(v.path, np.array(ops.convert_to_numpy(v.value))) for v in parts]
    kept = [(path, value) for path, value in values if "skipped_steps" not in path]
    # Without the numbers that a second model in one process gets.
    return {f"{i} {re.sub('_?[0-9]+', '', path)}": value for i, (path, value) in enumerate(kept)}


def test_raise_names_epoch_step_and_cause():
    with pytest.raises(FloatingPointError) as found:
        fit(model(), OnNonfinite())
    text = str(found.value)
    assert text.startswith("epoch 1, step 3: the loss is no longer finite.")
    assert "learning rate, 0.05 now" in text
    assert text.endswith("Received: on_nonfinite='raise'")


@pytest.mark.any_backend
def test_the_classes_of_the_batch_and_broken_images_are_named():
    x, y = data()
    sequence = cc.data.from_arrays(x, y, x_test=x, y_test=y).batches(
        "train", batch_size=BATCH, sampler="sequential"
    )
    assert sequence.class_counts
    made = model(method=cc.sharpness.ClassConditional(sequence.class_counts))
    with pytest.raises(FloatingPointError) as found:
        made.fit(sequence, epochs=1, verbose=0, callbacks=[OnNonfinite()])
    named = ", ".join(map(str, np.unique(y[BAD * BATCH : (BAD + 1) * BATCH])))
    assert f"step 3: the loss is no longer finite. Its batch has classes {named}." in str(
        found.value
    )
    sequence._x[BAD * BATCH + 1] = np.nan  # after the reader has looked
    made._found.fed = sequence
    assert "first in sample 1 of the batch" in likely_cause(Moment(made, 0, BAD, ()), final=False)


@pytest.mark.any_backend
def test_a_learning_rate_that_is_too_large_is_named():
    with pytest.raises(FloatingPointError, match=r"loss had grown from .* learning rate, 300"):
        fit(model(keras.optimizers.SGD(300.0)), OnNonfinite(), *data(bad=False), epochs=9)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_skipped_step_leaves_no_trace(optimizer, compiled_in_full):
    made = {"sgd": lambda: keras.optimizers.SGD(0.05, momentum=0.9), "adam": keras.optimizers.Adam}
    skipping, without = model(made[optimizer]()), model(made[optimizer]())
    callback = OnNonfinite("skip")
    with told("epoch 1, step 5: 1 steps of the epoch were left out"):
        history = fit(skipping, callback).history
    assert callback.skipped == 1
    assert history["skipped_steps"] == [1.0]
    x, y = data()
    bad = slice(BAD * BATCH, (BAD + 1) * BATCH)
    plain = fit(without, OnNonfinite("skip"), np.delete(x, np.r_[bad], 0), np.delete(y, np.r_[bad]))
    assert history["loss"] == plain.history["loss"]
    before, after = state(without), state(skipping)
    assert before.keys() == after.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(value, after[name], err_msg=name)


@pytest.mark.any_backend
def test_skip_ends_where_no_step_is_left():
    x, y = data()
    x[:, 0, 0, 0] = 1e25
    with (
        pytest.raises(FloatingPointError, match="the loss or gradient of every step"),
        pytest.warns(),
    ):
        fit(model(), OnNonfinite("skip"), x, y)


def test_rollback_gives_the_epochs_start_back_and_goes_on_with_half_the_step():
    made = model()
    fit(made, OnNonfinite(), *data(bad=False))
    made.pixels = None  # what is huge is warned of
    seen = {}

    class Looks(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.look()
            seen.setdefault("start", state(self.model))

        def on_train_batch_begin(self, batch, logs=None):
            self.look()

        def look(self):
            if callback.rollbacks and "back" not in seen:
                seen["back"] = state(self.model)
                seen["factor"] = self.model.step_parts.find(FiniteSteps).factor

    callback = OnNonfinite("rollback")
    with told("weights are those of the epoch's start again"):
        made.fit(*data(), BATCH, 2, 0, shuffle=False, callbacks=[callback, Looks()])
    assert callback.rollbacks == 2  # one in each epoch
    assert seen["factor"] == 0.5
    for name, value in seen["start"].items():
        if not any(part in name for part in ("seed", "iteration", "total", "count", "loss")):
            np.testing.assert_array_equal(value, seen["back"][name], err_msg=name)
    assert all(np.isfinite(v).all() for v in state(made).values() if v.dtype.kind == "f")
    assert made.step_parts.find(FiniteSteps) is None


@pytest.mark.any_backend
def test_half_the_step_is_half_the_learning_rate():
    """SGD with momentum, from one state: the velocity holds the rate, so it is the same."""
    half, plain = (model(keras.optimizers.SGD(r)) for r in (0.05, 0.1))
    part = plain.add_step_part(FiniteSteps(skips=False))
    part.factor = 0.5
    for made in (half, plain):
        made.fit(*data(bad=False), batch_size=BATCH, shuffle=False, verbose=0)
    for one, other in zip(half.trainable_variables, plain.trainable_variables, strict=True):
        np.testing.assert_allclose(
            ops.convert_to_numpy(one), ops.convert_to_numpy(other), atol=2e-6, err_msg=one.path
        )


@pytest.mark.any_backend
def test_rollback_is_bounded():
    x, y = data()
    x[:, 0, 0, 0] = 1e25
    callback = OnNonfinite("rollback", limit=2)
    with pytest.raises(FloatingPointError, match="after 2 rollbacks"), told("of at most 2 times"):
        fit(model(), callback, x, y, epochs=4)
    assert callback.rollbacks == 2


@pytest.mark.parametrize("action", ["raise", "skip"])
def test_an_overflow_of_float16_is_the_loss_scales_own_business(action):
    """The optimizer leaves such a step out and halves the scale: no step of ours is broken."""
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    scaled = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.05), initial_scale=2.0**40)
    made, callback = model(scaled), OnNonfinite(action)
    history = fit(made, callback, *data(bad=False), epochs=7).history
    assert np.isfinite(history["loss"]).all()
    assert callback.skipped == 0
    assert float(ops.convert_to_numpy(scaled.dynamic_scale)) < 2.0**30
    assert 0 < int(ops.convert_to_numpy(scaled.iterations)) < 35


def test_weights_that_break_in_the_last_step_are_seen():
    made = model(keras.optimizers.SGD(0.05))

    class Spoils(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.head.kernel.assign(np.full(self.model.head.kernel.shape, np.nan, "float32"))

    with pytest.raises(
        FloatingPointError, match=r"epoch 1, step 5: .*classifier/kernel is no longer"
    ):
        x, y = data(bad=False)
        made.fit(x, y, BATCH, shuffle=False, verbose=0, callbacks=[Spoils(), OnNonfinite()])


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "arguments", [{"action": "ignore"}, {"limit": -1}, {"factor": 1.0}, {"factor": float("nan")}]
)
def test_options_outside_their_range(arguments):
    with pytest.raises(ValueError, match="Received: "):
        OnNonfinite(**arguments)


@pytest.mark.any_backend
def test_skip_needs_the_step_of_this_package():
    inputs = keras.Input((3,))
    plain = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match="SharpnessAwareModel"):
        plain.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0, callbacks=[OnNonfinite("skip")])
    with pytest.raises(FloatingPointError, match="divides by it"):
        plain.fit(np.full((4, 3), 1e25), np.ones((4, 2)), verbose=0, callbacks=[OnNonfinite()])


def test_to_look_at_the_loss_adds_nothing_to_the_step():
    """No part of the step, nothing logged, and Keras need not wait for the callback."""
    made, callback = model(), OnNonfinite()
    assert callback.async_safe
    seen = {}

    class Looks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen["parts"], seen["logs"] = len(list(self.model.step_parts)), set(logs)

    x, y = data(bad=False)
    made.fit(x, y, BATCH, verbose=0, shuffle=False, callbacks=[callback, Looks()])
    function = made.train_function
    assert seen == {"parts": 2, "logs": {"loss", "accuracy"}}  # those that every model has
    made.fit(x, y, BATCH, verbose=0, shuffle=False)
    assert made.train_function is function
