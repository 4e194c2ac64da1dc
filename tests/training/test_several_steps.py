"""`steps_per_execution`: the same steps, of which callbacks hear once per call."""

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from tests.support import toy_batches


class Heard(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.calls = []

    def on_train_batch_begin(self, batch, logs=None):
        self.calls.append(batch)

    def on_train_batch_end(self, batch, logs=None):
        self.calls.append((batch, sorted(logs)))


def trained(steps, source=None, epochs=2):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 2))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(3, 3)(inputs))
    x = keras.layers.Dropout(0.2, seed=1)(keras.layers.Flatten()(x))
    model = cc.CCSAM(keras.Model(inputs, x), class_counts=[20, 15, 8, 5, 2])
    model.compile(
        keras.optimizers.SGD(0.05, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=steps,
    )
    heard = Heard()
    data = (source or (lambda: toy_batches(50)))()
    rest = {"batch_size": 10} if isinstance(data, tuple) else {}
    x, y = data if isinstance(data, tuple) else (data, None)
    validation = toy_batches(25, seed=1)
    history = model.fit(
        x,
        y,
        epochs=epochs,
        shuffle=isinstance(data, tuple),
        verbose=0,
        callbacks=[heard],
        validation_data=validation,
        **rest,
    )
    predictions = model.predict(validation[0], batch_size=5, verbose=0)
    weights = [ops.convert_to_numpy(v) for v in model.variables]
    return weights, np.array([*history.history.values()]), predictions, heard.calls


@pytest.mark.parametrize("steps", [2, 5])
def test_the_numbers_are_those_of_single_steps(steps):
    """Five batches: two in each call leaves one for the last, five are one call."""
    single, several = trained(1), trained(steps)
    exact = keras.backend.backend() == "torch"
    for one, other in zip(single[0], several[0], strict=True):
        np.testing.assert_allclose(other, one, atol=0 if exact else 1e-6)
    np.testing.assert_allclose(several[1], single[1], rtol=1e-6)
    np.testing.assert_allclose(several[2], single[2], atol=1e-6)
    logs = ["accuracy", "loss"]
    firsts = range(0, 5, steps)
    calls = [each for first in firsts for each in (first, (first + steps - 1, logs))]
    assert several[3] == calls * 2


def test_a_sequence_of_our_own():
    def batches():
        x, y = toy_batches(50)
        images = np.clip(x * 40 + 128, 0, 255).astype("uint8")
        return cc.data.from_arrays(images, y).batches("train", batch_size=10, seed=3)

    single, several = trained(1, batches), trained(3, batches)
    for one, other in zip(single[0], several[0], strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6)
