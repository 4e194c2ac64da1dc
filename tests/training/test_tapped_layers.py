"""Layers of the user that are stood in for while a pass is traced: for that pass alone."""

import threading

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam.training.tapped_layers import tapped


@pytest.fixture
def dense():
    layer = keras.layers.Dense(3, activation="tanh")
    layer.build((None, 4))
    return layer


X = np.ones((2, 4), "float32")


def call(layer):
    return ops.convert_to_numpy(layer(ops.convert_to_tensor(X)))


def test_it_notes_inputs_and_shifts_outputs(dense):
    plain = call(dense)
    with tapped([dense], [lambda inputs: ops.sum(inputs, axis=1, keepdims=True)]) as seen:
        shifted = call(dense)
    np.testing.assert_allclose(ops.convert_to_numpy(seen[0]), X)
    np.testing.assert_allclose(np.arctanh(shifted), np.arctanh(plain) + 4.0, rtol=1e-3)
    np.testing.assert_array_equal(call(dense), plain)
    assert "call" not in vars(dense)


def test_an_exception_leaves_nothing_behind(dense):
    plain = call(dense)
    with (
        pytest.raises(RuntimeError, match="in the middle"),
        tapped([dense], [lambda inputs: 1.0]),
    ):
        raise RuntimeError("in the middle")
    assert "call" not in vars(dense)
    np.testing.assert_array_equal(call(dense), plain)


def test_a_call_of_the_users_own_comes_back(dense):
    own = lambda inputs, training=None: inputs  # noqa: E731
    vars(dense)["call"] = own
    with tapped([dense], [lambda inputs: 1.0]):
        assert vars(dense)["call"] is not own
    assert vars(dense)["call"] is own


def test_two_threads_do_not_see_each_other(dense):
    """One is in the middle of a traced pass while the other calls and traces the same layer."""
    plain = call(dense)
    inside, done = threading.Event(), threading.Event()
    found = {}

    def first():
        with tapped([dense], [lambda inputs: 1.0]):
            inside.set()
            done.wait(30)
            found["first"] = call(dense)

    thread = threading.Thread(target=first)
    thread.start()
    inside.wait(30)
    found["beside"] = call(dense)
    with tapped([dense], [lambda inputs: 2.0]):
        found["second"] = call(dense)
    found["between"] = call(dense)
    done.set()
    thread.join(30)
    np.testing.assert_array_equal(found["beside"], plain)
    np.testing.assert_array_equal(found["between"], plain)
    for name, shift in (("first", 1.0), ("second", 2.0)):
        np.testing.assert_allclose(np.arctanh(found[name]), np.arctanh(plain) + shift, rtol=1e-3)
    assert "call" not in vars(dense)
