"""Landscapes against float64 reference numbers made by explicit loops."""

import keras
import numpy as np
import pytest

from keras_ccsam.analysis.landscapes import directions as drawing
from keras_ccsam.analysis.landscapes import filter_axes, plan_landscape
from tests.analysis.landscapes.networks import (
    directions_of,
    given_directions,
    network_of,
)
from tests.support import float_type, vector

FILES = ("landscape_mlp", "landscape_conv")


@pytest.mark.parametrize("name", FILES)
def test_draws_are_scaled_filter_by_filter(name, monkeypatch):
    given = vector(name)
    model = network_of(given)
    axes = filter_axes(model, model.trainable_variables)
    assert [own is None for own in axes] == [False, True, False, True]
    raw = directions_of(given, "raw")
    # What a seed would draw for the two kernels.
    monkeypatch.setattr(drawing, "_draw", lambda moving, kind, seed, n: raw[n][::2])
    found = drawing.draw_directions([given[n] for n in ("w1", "b1", "w2", "b2")], axes)
    for own, right in zip(found.values, directions_of(given), strict=True):
        for a, b in zip(own, right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=0)
    assert found.norm == pytest.approx(given_directions(given).norm)
    np.testing.assert_allclose(np.diag(found.gram), 1.0, rtol=1e-12)


def test_keras_makes_float32_of_float64_on_jax_and_torch():
    """Why these networks have a tanh and Dense layers of their own; docs/limits.md says so."""
    with float_type("float64"):
        x = keras.ops.convert_to_tensor(np.ones((1, 4, 4, 1)))
        assert "float64" in str(keras.layers.Conv2D(2, 3)(x).dtype)
        if keras.backend.backend() != "tensorflow":
            assert keras.backend.result_type("float64", "float64") == "float32"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FILES)
def test_loss_and_accuracy_of_every_class_at_every_point(name, dtype):
    given = vector(name)
    with float_type(dtype):
        model = network_of(given)
        data = (given["inputs"].astype(dtype), given["labels"])
        plan = plan_landscape(model, data, points=9, directions=given_directions(given))
        found = plan.compute()
    np.testing.assert_allclose(found.steps[0], given["steps"], rtol=1e-15)
    tolerance = 1e-5 if dtype == "float32" else 1e-9
    for label in range(4):
        np.testing.assert_allclose(
            found.loss(label), given["class_loss"][..., label], rtol=tolerance, atol=tolerance
        )
    np.testing.assert_array_equal(found.correct, given["class_correct"])
    np.testing.assert_array_equal(found.count, given["class_counts"])
    assert keras.config.floatx() == "float32"
