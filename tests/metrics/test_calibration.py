"""Expected calibration error against values by hand."""

import keras
import numpy as np
import pytest

from keras_ccsam.metrics import ExpectedCalibrationError
from keras_ccsam.metrics.predictions import calibration_error


def value(metric):
    return float(keras.ops.convert_to_numpy(metric.result()))


def two_classes(confidence):
    """Probabilities that predict class 0."""
    confidence = np.asarray(confidence, dtype="float32")
    return np.stack([confidence, 1 - confidence], axis=1)


def test_by_hand():
    # bins of width 0.1: (0.6, 0.7] holds two samples, (0.8, 0.9] and (0.9, 1.0] one each
    metric = ExpectedCalibrationError(bins=10, from_logits=False)
    metric.update_state([0, 1], two_classes([0.62, 0.66]))
    metric.update_state([0, 1], two_classes([0.85, 0.95]))
    expected = (abs(1 - (0.62 + 0.66)) + abs(1 - 0.85) + abs(0 - 0.95)) / 4
    assert value(metric) == pytest.approx(expected, abs=1e-6)


def test_bins_are_closed_on_the_right():
    # 0.75 ends the bin (0.5, 0.75]: together with 0.6 its errors cancel in part
    metric = ExpectedCalibrationError(bins=4, from_logits=False)
    metric.update_state([0, 1], two_classes([0.75, 0.625]))
    assert value(metric) == pytest.approx(abs(1 - 0.75 - 0.625) / 2)
    # on their own side of an edge they would not
    metric.reset_state()
    metric.update_state([0, 1], two_classes([0.7501, 0.625]))
    assert value(metric) == pytest.approx((0.2499 + 0.625) / 2, abs=1e-6)


@pytest.mark.parametrize("bins", [1, 15])
def test_equals_the_report_for_logits(bins):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 300)
    logits = (rng.normal(size=(300, 5)) * 2 + np.eye(5)[labels]).astype("float32")
    metric = ExpectedCalibrationError(bins)
    one_hot = np.eye(5, dtype="float32")[labels]
    for part in np.array_split(np.arange(300), 7):
        metric.update_state(one_hot[part], logits[part])
    p = np.exp(logits.astype("float64"))
    confidence = (p / p.sum(1, keepdims=True)).max(1)
    expected = calibration_error(confidence, logits.argmax(1) == labels, bins)
    assert expected > 0.01
    assert value(metric) == pytest.approx(expected, abs=1e-5)


def test_sample_weights_count():
    metric = ExpectedCalibrationError(from_logits=False)
    metric.update_state([0, 1], two_classes([0.9, 0.6]), sample_weight=[3.0, 0.0])
    assert value(metric) == pytest.approx(0.1, abs=1e-6)


def test_nothing_seen_is_zero_and_bins_are_checked():
    assert value(ExpectedCalibrationError()) == 0.0
    with pytest.raises(ValueError, match="Received: bins=0"):
        ExpectedCalibrationError(bins=0)


def test_round_trip():
    metric = ExpectedCalibrationError(bins=7, from_logits=False, name="calibration")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(metric))
    assert copy.get_config() == metric.get_config()
    assert (copy.bins, copy.from_logits, copy.name) == (7, False, "calibration")
