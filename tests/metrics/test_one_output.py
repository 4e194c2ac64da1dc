"""One output for two classes: the same numbers as of two columns."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from keras_ccsam.metrics import ExpectedCalibrationError, GroupAccuracy, Report

COUNTS = (900, 30)
RNG = np.random.default_rng(0)
Z = RNG.normal(scale=2.0, size=50).astype("float32")
Y = RNG.integers(0, 2, 50).astype("int32")
P = 1.0 / (1.0 + np.exp(-Z))


@pytest.mark.parametrize("column", [False, True])
@pytest.mark.parametrize("labels", [Y, Y[:, None], np.eye(2)[Y], Y.astype("float32")])
def test_a_report_of_logits_and_of_probabilities(column, labels):
    expected = Report.from_predictions(Y, np.stack([np.zeros(50), Z], axis=1), COUNTS)
    for outputs, from_logits in ((Z, True), (P, False)):
        outputs = outputs[:, None] if column else outputs
        found = Report.from_predictions(labels, outputs, COUNTS, from_logits=from_logits)
        np.testing.assert_array_equal(found.confusion, expected.confusion)
        assert found.nll == pytest.approx(expected.nll, abs=1e-6)
        assert found.ece == pytest.approx(expected.ece, abs=1e-6)


@pytest.mark.parametrize("from_logits", [True, False])
def test_metrics(from_logits):
    report = Report.from_predictions(Y, Z, COUNTS)
    outputs = (Z if from_logits else P)[:, None]
    accuracy = GroupAccuracy(COUNTS, from_logits=from_logits)
    error = ExpectedCalibrationError(from_logits=from_logits)
    for metric, expected in ((accuracy, report.balanced), (error, report.ece)):
        metric.update_state(Y, outputs)
        assert float(keras.ops.convert_to_numpy(metric.result())) == pytest.approx(expected)
    assert GroupAccuracy.from_config(accuracy.get_config()).from_logits is from_logits


def test_an_accuracy_must_be_told_what_one_output_is():
    with pytest.raises(ValueError, match="from_logits=None"):
        GroupAccuracy(COUNTS).update_state(Y, Z[:, None])


@pytest.mark.parametrize("activation", ["sigmoid", "linear"])
def test_any_keras_model_is_evaluated(activation):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Activation(activation)])
    found = cc.evaluate(model, (Z[:, None], Y), COUNTS)
    assert found.nll == pytest.approx(Report.from_predictions(Y, Z, COUNTS).nll, abs=1e-5)
