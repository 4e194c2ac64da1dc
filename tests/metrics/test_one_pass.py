"""A set is put through the network once, whatever is reported of it."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc

COUNTS = (60, 30, 10)


class Counting(keras.layers.Layer):
    """Hands on its inputs and adds up their rows."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = 0

    def call(self, inputs):
        self.rows += int(inputs.shape[0])
        return inputs

    def compute_output_shape(self, input_shape):  # else Keras calls it to find out
        return input_shape


@pytest.mark.parametrize("options", [{}, {"logit_adjustment": 1.0, "bins": 5, "groups": "thirds"}])
def test_evaluate_runs_the_network_once(options):
    counting = Counting()
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3)(counting(inputs)))
    model.compile(run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(1100, 4)).astype("float32")
    y = np.arange(1100) % 3
    counting.rows = 0
    report = cc.evaluate(model, (x, y), COUNTS, **options)
    report.table()
    report.to_dict()
    assert report.num_samples == counting.rows == 1100
