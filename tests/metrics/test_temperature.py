"""A temperature is used where it helps the images that it was fitted on, and nowhere else."""

import json

import numpy as np
import pytest

from keras_ccsam.metrics.temperature import HIGHEST, Temperature, fit_temperature

pytestmark = pytest.mark.any_backend


def overconfident(images=400):
    """Logits four times too large of labels drawn from their softmax."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(images, 3)) * 1.5
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return 4 * logits, np.array([rng.choice(3, p=row) for row in p])


def test_one_that_helps_is_used():
    fitted = fit_temperature(*overconfident())
    assert fitted.value == pytest.approx(4, rel=0.25)
    assert fitted.applied == fitted.value and not fitted.unused_because
    kept = json.loads(json.dumps(fitted.to_dict()))
    assert kept["used"] is True
    assert Temperature.from_dict(kept) == fitted
    del kept["used"]  # of an older run
    assert Temperature.from_dict(kept) == fitted


def test_one_at_an_end_of_the_search_is_not():
    logits = np.eye(4)[[0, 1, 2, 3] * 2]
    worst = fit_temperature(logits, [1, 2, 3, 0] * 2)
    best = fit_temperature(logits, [0, 1, 2, 3] * 2)
    assert worst.value == pytest.approx(HIGHEST, rel=0.01)
    one = fit_temperature(logits[:1], [1])
    assert "fitted on 1 validation image, " in one.unused_because
    for fitted in (worst, best):
        assert (
            fitted.nll < fitted.nll_before
            and "lies at an end of the range" in fitted.unused_because
        )
        assert fitted.applied == 1.0 and fitted.to_dict()["used"] is False


@pytest.mark.parametrize(
    ("nll", "ece", "words"),
    [(0.5, 0.01, "does not lower"), (0.4, 0.048, "1.8 % before, 4.8 % after")],
)
def test_one_that_makes_something_worse_is_not(nll, ece, words):
    fitted = Temperature(2.0, 8, nll, 0.5, ece, 0.018)
    assert words in fitted.unused_because and fitted.applied == 1.0


def test_calibration_of_classes_that_count_alike_is_theirs():
    logits, labels = overconfident()
    few = np.flatnonzero(labels == 2)[:20]
    rows = np.concatenate([np.flatnonzero(labels != 2), *[few] * 3])
    once = np.concatenate([np.flatnonzero(labels != 2), few])
    often, seldom = (fit_temperature(logits[r], labels[r], balanced=True) for r in (rows, once))
    assert often.value == pytest.approx(seldom.value, rel=1e-4)
    assert often.ece == pytest.approx(seldom.ece, abs=1e-6)
