"""The first step traces once, and what is made before it changes nothing."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc


class Counted(cc.sharpness.ERM):
    """Counts how often Python runs its step."""

    calls = 0

    def gradients(self, objective, options):
        type(self).calls += 1
        return super().gradients(objective, options)


def model(metrics=("accuracy",), loss="sparse_categorical_crossentropy"):
    keras.utils.set_random_seed(0)
    backbone = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4, activation="relu")])
    made = cc.SharpnessAwareModel(backbone, keras.layers.Dense(3), Counted())
    made.build((None, 6))
    made.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=list(metrics))
    Counted.calls = 0
    return made


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(32, 6)).astype("float32"), np.arange(32) % 3


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="PyTorch traces nothing")
@pytest.mark.parametrize("one_hot", [False, True])
def test_one_trace(data, one_hot):
    x, y = data
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    made = model(loss=loss)
    made.fit(x, keras.utils.to_categorical(y) if one_hot else y, batch_size=16, verbose=0)
    assert Counted.calls == 1
    made = model(loss=loss)
    made.train_on_batch(x[:16], (keras.utils.to_categorical(y) if one_hot else y)[:16])
    assert Counted.calls == 1


def test_metrics_are_those_of_the_data_alone(data):
    made = model([keras.metrics.SparseTopKCategoricalAccuracy(2, name="top"), "accuracy"])
    history = made.fit(*data, batch_size=32, shuffle=False, verbose=0).history
    other = model()
    before = other.predict(data[0], verbose=0)
    assert history["accuracy"][0] == pytest.approx(np.mean(before.argmax(1) == data[1]))


def test_a_model_that_is_not_built_is_left_to_its_first_step(data):
    backbone = keras.Sequential([keras.layers.Dense(4)])
    made = cc.SharpnessAwareModel(backbone, keras.layers.Dense(3))
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    assert made.fit(*data, verbose=0).history["accuracy"]
