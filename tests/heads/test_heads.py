"""What a head is, and which have a closed form."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam.heads import Cosine, DenseClosedForm, class_averages, closed_form


class Subclass(keras.layers.Dense):
    """May compute anything."""


def test_who_has_a_closed_form():
    assert isinstance(closed_form(keras.layers.Dense(3)), DenseClosedForm)
    cosine = Cosine(3)
    assert closed_form(cosine) is cosine
    assert closed_form(Subclass(3)) is None
    assert closed_form(keras.layers.EinsumDense("bd,dk->bk", 3)) is None
    adapted = keras.layers.Dense(3, lora_rank=2)
    adapted.build((None, 4))
    assert closed_form(adapted) is None


def test_class_averages():
    m = ops.convert_to_numpy(class_averages(ops.convert_to_tensor([2, 0, 2])))
    np.testing.assert_allclose(m, [[0.5, 0, 0.5], [0, 1, 0], [0.5, 0, 0.5]])


def test_cosine_logits():
    head = Cosine(3, scale=5.0)
    h = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")
    z = ops.convert_to_numpy(head(h))
    w = ops.convert_to_numpy(head.kernel)
    expected = 5.0 * (h @ w) / np.linalg.norm(h, axis=1)[:, None] / np.linalg.norm(w, axis=0)
    np.testing.assert_allclose(z, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(z).max() <= 5.0
    np.testing.assert_allclose(ops.convert_to_numpy(head(10 * h)), z, rtol=1e-4, atol=1e-5)
    assert np.isfinite(ops.convert_to_numpy(head(np.zeros((1, 6), "float32")))).all()


def test_cosine_round_trips():
    head = Cosine(3, scale=5.0, kernel_regularizer="l2")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert isinstance(again, Cosine)
    assert again.get_config() == head.get_config()


@pytest.mark.parametrize(("arguments", "words"), [((1,), "units=1"), ((3, 0.0), "scale=0.0")])
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        Cosine(*arguments)
