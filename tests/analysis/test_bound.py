"""Theorem 1's bound: against float64 reference numbers, by hand, and at the optimum radius."""

import math

import keras
import numpy as np
import pytest

from keras_ccsam.analysis.bound import (
    COLUMNS,
    BoundEvaluation,
    bound_15,
    bound_16,
    prior_constant,
    root_15,
    root_16,
)
from keras_ccsam.analysis.class_radius import characteristic_radius
from keras_ccsam.sharpness.class_conditional import radius as in_training
from tests.analysis.mlp import network
from tests.support import float_type

TOLERANCE = {"float32": 1e-5, "float64": 1e-9}


@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_the_bound_is_that_of_the_reference_numbers(kind):
    with float_type(kind):
        model, x, y, stored = network("bound_mlp")
        rows = [dict(zip(stored["columns"], row, strict=True)) for row in stored["rows"]]
        assert len(rows) == 8
        counts = 50 * stored["class_counts"]
        measured = {}
        for delta in (0.05, 0.01):
            evaluation = BoundEvaluation(model, counts, (x, y), None, (0, 1, 2, 3), delta=delta)
            measured[delta] = evaluation.measure()
        for row in rows:
            label = int(row["class"])
            assert (counts[label], evaluation.size) == (row["n"], row["k"])
            found = {name: each[label] for name, each in measured[float(row["delta"])].items()}
            expected = {
                "weight_norm": "weight_norm",
                "gradient_norm": "grad_norm",
                "radius": "rho",
                "step_norm": "perturbation_norm",
                "worst_zero_one": "worst_01",
                "worst_clipped": "worst_clipped_ce",
                "root_15": "root_15",
                "root_16": "root_16",
                "root_16_with_constant": "root_16_with_O1",
                "bound_15_zero_one": "bound15_01",
                "bound_15_clipped": "bound15_ce",
                "bound_16_zero_one": "bound16_01",
                "bound_16_clipped": "bound16_ce",
            }
            for name, column in expected.items():
                wanted = float(row[column])
                assert found[name] == pytest.approx(wanted, rel=TOLERANCE[kind]), (label, name)
            assert math.isnan(found["test_loss"])


def test_the_golden_numbers():
    head = characteristic_radius(10.0, 1.0, 5000, 650)
    assert head == pytest.approx(0.052667, abs=1e-6)
    assert characteristic_radius(10.0, 1.0, 25, 650) == pytest.approx(0.200080, abs=1e-6)
    assert root_16(10.0, head, 5000, 0.05) == pytest.approx(1.343599, abs=1e-6)
    constant = prior_constant(5000, 650)
    assert root_16(10.0, head, 5000, 0.05, constant) == pytest.approx(1.349836, abs=1e-6)
    # At the r that is trained with, the bound says nothing.
    assert root_16(10.0, 1e-2 * head, 5000, 0.05) == pytest.approx(134.0, rel=0.01)


@pytest.mark.parametrize("norm", [0.3, 1.0, 7.0])
@pytest.mark.parametrize("images", [25, 5000])
def test_at_the_optimum_radius_ascent_and_complexity_are_equal_and_their_sum_is_least(norm, images):
    weights, size = 10.0, 650

    def terms(rho):
        # The root's leading part: without log(n / delta), which no radius changes.
        return math.sqrt(size) * rho * norm, weights / (2 * rho * math.sqrt(images - 1))

    best = characteristic_radius(weights, norm, images, size)
    ascent, complexity = terms(best)
    assert ascent == pytest.approx(complexity, rel=1e-12)
    assert all(sum(terms(best)) < sum(terms(best * factor)) for factor in (0.9, 0.99, 1.01, 1.1))
    root = root_16(weights, best, images, 0.05)
    rest = math.log(images / 0.05) / (images - 1)
    assert root**2 - rest == pytest.approx(complexity**2, rel=1e-12)
    if norm == 1.0 and images == 5000:
        assert ascent == pytest.approx(1.342742, abs=1e-6)


def test_by_hand():
    assert root_16(2.0, 1.0, 5, 0.5) == pytest.approx(math.sqrt((1 + math.log(10)) / 4))
    wide = (1 + math.sqrt(math.log(5) / 4)) ** 2
    assert root_15(2.0, 1.0, 5, 4, 0.5) == pytest.approx(math.sqrt((wide + 0.5 * math.log(10)) / 4))
    assert bound_15(0.5, 2.0, 4) == pytest.approx(0.25 + 0.5 + 2.0)
    assert bound_16(0.5, 2.0) == 2.5
    assert root_16(2.0, 0.0, 5, 0.5) == math.inf
    assert math.isfinite(root_15(2.0, 1.0, 1, 4, 0.5))


def test_the_radius_is_the_one_of_training():
    for images in (1, 2, 500):
        for norm in (0.0, 0.7):
            found = in_training.characteristic_radius(
                keras.ops.convert_to_tensor(3.0),
                keras.ops.convert_to_tensor(norm),
                keras.ops.convert_to_tensor(float(images)),
                40,
            )
            own = characteristic_radius(3.0, norm, images, 40)
            assert own == pytest.approx(float(keras.ops.convert_to_numpy(found)), rel=1e-6)


def test_train_and_test_losses_are_those_of_the_class(seed):
    model, x, y, stored = network("bound_mlp")
    rng = np.random.default_rng(seed)
    x_test, y_test = (
        rng.normal(size=(9, 6)).astype("float32"),
        np.array([0, 0, 1, 1, 1, 2, 2, 2, 2]),
    )
    counts = stored["class_counts"]
    for weights in ("head", "all"):
        evaluation = BoundEvaluation(
            model, counts, (x, y), (x_test, y_test), (1, 3), weights=weights
        )
        found = evaluation.measure()
        assert set(found) == set(COLUMNS)
        for prefix, inputs, labels in (("train", x, y), ("test", x_test, y_test)):
            z = np.asarray(keras.ops.convert_to_numpy(model(inputs)), "float64")
            losses = np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), labels]
            wrong = z.argmax(1) != labels
            for place, label in enumerate((1, 3)):
                own = labels == label
                if not own.any():
                    assert math.isnan(found[f"{prefix}_loss"][place])
                    continue
                named = {
                    "loss": losses[own].mean(),
                    "clipped": np.minimum(losses[own], 1).mean(),
                    "zero_one": wrong[own].mean(),
                }
                for name, value in named.items():
                    assert found[f"{prefix}_{name}"][place] == pytest.approx(value, rel=1e-5)
    assert evaluation.size == 59


def test_wrong_input_is_named():
    model, x, y, stored = network("bound_mlp")
    counts = stored["class_counts"]
    with pytest.raises(ValueError, match="Received: classes="):
        BoundEvaluation(model, counts, (x, y), None, [4])
    with pytest.raises(ValueError, match=r"Received: delta=1\.5"):
        BoundEvaluation(model, counts, (x, y), None, [0], delta=1.5)
    with pytest.raises(ValueError, match="one label per sample"):
        BoundEvaluation(model, counts, (x, y[:3]), None, [0])
