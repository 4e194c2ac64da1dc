"""Post-hoc logit adjustment of an evaluation, against numpy."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.metrics import Report

COUNTS = (90, 9, 1)
RNG = np.random.default_rng(0)
Z = RNG.normal(scale=2.0, size=(60, 3)).astype("float32")
Y = RNG.integers(0, 3, 60)


def model(activation):
    """Puts out what it is given, or its softmax."""
    return keras.Sequential([keras.Input((3,)), keras.layers.Activation(activation)])


@pytest.mark.parametrize("activation", ["linear", "softmax"])
def test_logit_adjustment_is_that_of_the_training_counts(activation):
    plain = cc.evaluate(model(activation), (Z, Y), COUNTS)
    found = cc.evaluate(model(activation), (Z, Y), COUNTS, logit_adjustment=0.8, many=50, few=5)
    shifted = Z.astype("float64") - 0.8 * np.log(np.divide(COUNTS, 100))
    expected = Report.from_predictions(Y, shifted, COUNTS, many=50, few=5)
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    assert found.groups == expected.groups
    assert found.nll == pytest.approx(expected.nll, abs=1e-5)
    assert found.ece == pytest.approx(expected.ece, abs=1e-5)
    # Rare classes are predicted more often, not less.
    assert found.confusion[:, 2].sum() > plain.confusion[:, 2].sum()


def test_no_adjustment_by_default():
    expected = Report.from_predictions(Y, Z, COUNTS)
    found = cc.evaluate(model("linear"), (Z, Y), COUNTS)
    np.testing.assert_array_equal(found.confusion, expected.confusion)
    assert found.nll == pytest.approx(expected.nll)


@pytest.mark.parametrize(
    ("counts", "tau", "words"),
    [
        (COUNTS, -1.0, r"logit_adjustment=-1\.0"),
        (COUNTS[:2], 1.0, "2 classes"),
        ((90, 9, 0), 1.0, "class 2 has 0"),
    ],
)
def test_bad_arguments(counts, tau, words):
    with pytest.raises(ValueError, match=words):
        cc.evaluate(model("linear"), (Z, Y), counts, logit_adjustment=tau)
