"""Calibration against numbers worked out by hand, and against the report of an evaluation."""

import numpy as np
import pytest

from keras_ccsam.analysis.calibration import Predictions, calibration, group_calibration
from keras_ccsam.metrics import Report

pytestmark = pytest.mark.any_backend

# Four samples of three classes; confidences 0.8, 0.6, 0.6 and 0.5.
PROBABILITIES = np.array([[0.8, 0.1, 0.1], [0.3, 0.6, 0.1], [0.6, 0.3, 0.1], [0.25, 0.25, 0.5]])
LABELS = np.array([0, 1, 1, 2])


@pytest.fixture
def four() -> Predictions:
    return Predictions.of(LABELS, PROBABILITIES, from_logits=False)


def test_the_numbers_of_four_samples(four: Predictions) -> None:
    found = calibration(four)
    # Bins of 1/15: 0.5 in (7/15, 8/15], both 0.6 in (8/15, 9/15], 0.8 in (11/15, 12/15].
    assert np.flatnonzero(found.bin_samples).tolist() == [7, 8, 11]
    assert found.bin_samples[8] == 2
    assert found.bin_accuracy[8] == 0.5
    assert found.bin_confidence[8] == pytest.approx(0.6)
    assert found.bin_accuracy[0] is None
    # Gaps 0.2, 0.1 and 0.5 of 1, 2 and 1 samples.
    assert found.ece == pytest.approx((0.2 + 2 * 0.1 + 0.5) / 4)
    assert found.mce == pytest.approx(0.5)
    assert found.accuracy == 0.75
    assert found.confidence == pytest.approx(2.5 / 4)
    assert found.nll == pytest.approx(-np.log([0.8, 0.6, 0.3, 0.5]).mean())
    rows = [0.04 + 0.01 + 0.01, 0.09 + 0.16 + 0.01, 0.36 + 0.49 + 0.01, 0.0625 * 2 + 0.25]
    assert found.brier == pytest.approx(np.mean(rows))


def test_a_confidence_on_an_edge_belongs_to_the_bin_that_ends_there() -> None:
    edge = Predictions.of([0], [[0.5, 0.5]], from_logits=False)
    assert np.flatnonzero(calibration(edge, bins=2).bin_samples).tolist() == [0]
    above = Predictions.of([0], [[0.500001, 0.499999]], from_logits=False)
    assert np.flatnonzero(calibration(above, bins=2).bin_samples).tolist() == [1]


def test_a_group_has_the_samples_of_its_classes_whatever_they_are_taken_for(
    four: Predictions,
) -> None:
    found = group_calibration(four, {"many": (0,), "few": (1, 2), "none": ()})
    assert set(found) == {"many", "few"}
    assert found["few"].samples == 3
    assert found["few"].accuracy == pytest.approx(2 / 3)
    # The bin of both 0.6 holds one right answer of two: gap 0.1; that of 0.5: gap 0.5.
    assert found["few"].ece == pytest.approx((2 * 0.1 + 0.5) / 3)


def test_it_agrees_with_the_report() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 3, (400, 7)), rng.integers(0, 7, 400)
    report = Report.from_predictions(labels, logits)
    found = calibration(Predictions.of(labels, logits))
    assert found.ece == pytest.approx(report.ece, abs=1e-12)
    assert found.nll == pytest.approx(report.nll, abs=1e-12)
    assert found.accuracy == report.overall
    assert sum(found.bin_samples) == 400


def test_one_output_speaks_of_class_1() -> None:
    one = Predictions.of([1, 0], np.array([[0.9], [0.9]]), from_logits=False)
    assert one.predicted.tolist() == [1, 1]
    assert one.brier == pytest.approx([0.02, 1.62])


def test_bad_input_is_refused(four: Predictions) -> None:
    with pytest.raises(ValueError, match="bins=0"):
        calibration(four, bins=0)
    with pytest.raises(ValueError, match="at least one sample"):
        calibration(four.where([]))
