"""What a head is, and which have a closed form."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam import backend
from keras_ccsam.heads import Cosine, DenseClosedForm, averaging, class_averages, closed_form
from keras_ccsam.heads.dense import dense
from keras_ccsam.sharpness import characteristic_radius, step_length
from tests.support import one_program


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


def test_a_dense_head_may_begin_as_torch_s_linear_layer_does():
    keras.utils.set_random_seed(0)
    head = dense(50, features=400, initializer="torch")
    assert type(head) is keras.layers.Dense  # so that it has its closed form
    head.build((None, 400))
    kernel, bias = map(ops.convert_to_numpy, (head.kernel, head.bias))
    for drawn in (kernel, bias):
        assert 0.04 < np.abs(drawn).max() <= 0.05  # 1 / sqrt(400)
    assert np.abs(kernel[0] - bias).max() > 0.01
    plain = dense(50)
    plain.build((None, 400))
    assert not ops.convert_to_numpy(plain.bias).any()
    with pytest.raises(ValueError, match="features=None"):
        dense(50, initializer="torch")


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


def test_the_columns_of_a_cosine_head_begin_with_norm_1():
    keras.utils.set_random_seed(0)
    head = Cosine(7)
    head.build((None, 64))
    first = ops.convert_to_numpy(head.kernel)
    np.testing.assert_allclose(np.linalg.norm(first, axis=0), 1.0, rtol=1e-6)
    assert np.ptp(first) > 0.2  # directions are drawn, not given
    again = Cosine.from_config(head.get_config())
    again.build((None, 64))
    np.testing.assert_allclose(
        np.linalg.norm(ops.convert_to_numpy(again.kernel), axis=0), 1.0, rtol=1e-6
    )
    assert np.abs(ops.convert_to_numpy(again.kernel) - first).max() > 0.1


def test_the_columns_of_a_cosine_head_may_begin_as_long_as_they_are_drawn():
    keras.utils.set_random_seed(0)
    head = Cosine(40, columns="uniform")
    head.build((None, 64))
    kernel = ops.convert_to_numpy(head.kernel)
    assert np.linalg.norm(kernel, axis=0) == pytest.approx(np.full(40, (64 / 3) ** 0.5), rel=0.25)
    assert 0.95 < np.abs(kernel).max() <= 1
    again = Cosine.from_config(head.get_config())
    assert again.columns == "uniform"
    assert type(again.kernel_initializer) is keras.initializers.RandomUniform


def test_cosine_round_trips():
    head = Cosine(3, scale=5.0, kernel_regularizer="l2")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(head))
    assert isinstance(again, Cosine)
    assert again.get_config() == head.get_config()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((1,), "units=1"), ((3, 0.0), "scale=0.0"), ((3, 1.0, "long"), "columns=.long")],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        Cosine(*arguments)


def moved_logits(h, w, delta, labels, length):
    """s cos(h_i, w + length_i g / ||g||) in float64, g the mean gradient of the sample's class."""
    h, w, delta = (np.asarray(a, "float64") for a in (h, w, delta))
    norms = np.linalg.norm(w, axis=0)
    u, w_hat = h / np.linalg.norm(h, axis=1)[:, None], w / norms
    rows = []
    for i, label in enumerate(labels):
        members = np.flatnonzero(labels == label)
        each = [
            (u[j][:, None] - (u[j] @ w_hat) * w_hat) * (3.0 * delta[j] / norms) for j in members
        ]
        gradient = np.mean(each, axis=0)
        size = np.linalg.norm(gradient)
        moved = w + (length[i] * gradient / size if size else 0.0)
        rows.append(3.0 * u[i] @ moved / np.linalg.norm(moved, axis=0))
    return np.array(rows)


@pytest.mark.parametrize("size", [1.0, 1e-8, 1e-16, 1e-30, 0.0])
def test_a_tiny_class_gradient_overflows_nowhere(size):
    """The step of an r of its own is the longer, the smaller the gradient is (two features)."""
    rng = np.random.default_rng(3)
    h, w = rng.normal(size=(6, 2)).astype("float32"), rng.normal(size=(2, 4)).astype("float32")
    labels = np.array([0, 1, 1, 2, 0, 3])
    delta = rng.normal(size=(6, 4)).astype("float32") * np.float32(size)
    head = Cosine(4, scale=3.0)
    head(h)
    head.kernel.assign(w)

    def total(values):
        features, kernel = values
        with keras.StatelessScope([(head.kernel, kernel)]):
            by_class = averaging(features, features @ kernel, ops.convert_to_tensor(labels), 4)
            classes = head.class_gradients(
                features, features @ kernel, ops.convert_to_tensor(delta), by_class
            )
            length = step_length(
                characteristic_radius(
                    ops.convert_to_tensor(np.float32(2.0)),
                    classes.norm,
                    ops.ones_like(classes.norm),
                    8,
                ),
                8,
            )
            length = ops.stop_gradient(length)
            logits = classes.logits_after(length)
        return ops.sum(logits * ops.convert_to_tensor(h[:, :1])), (logits, length)

    values = [ops.convert_to_tensor(h), ops.convert_to_tensor(w)]
    program = one_program(lambda values: backend.value_and_grad(total, values))
    (_, (logits, length)), gradients = program(values)
    for tensor in (logits, *gradients):
        assert np.isfinite(ops.convert_to_numpy(tensor)).all()
    # The square of 1e-30 is no number of float32: such a gradient counts as none.
    known = delta if size >= 1e-16 else 0.0 * delta
    expected = moved_logits(h, w, known, labels, ops.convert_to_numpy(length))
    np.testing.assert_allclose(ops.convert_to_numpy(logits), expected, rtol=2e-3, atol=2e-3)
    assert (ops.convert_to_numpy(length) > 0).all() == (size >= 1e-16)
