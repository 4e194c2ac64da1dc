"""How far balanced accuracies and their differences are trusted, held to what they simulate."""

import math

import numpy as np
import pytest

from keras_ccsam.auto.uncertainty import NOISE, difference, estimate, noise

pytestmark = pytest.mark.any_backend

COUNTS = (200, 60, 20, 8)
LABELS = np.repeat(np.arange(4), COUNTS)
ACCURACY = np.array([0.95, 0.9, 0.7, 0.5])


def drawn(rng, accuracy=ACCURACY):
    return (rng.random(len(LABELS)) < accuracy[LABELS]).astype("float64")


def test_the_standard_error_is_the_spread_over_images():
    rng = np.random.default_rng(0)
    found = [estimate([drawn(rng)], LABELS) for _ in range(2000)]
    spread = np.std([one.balanced for one in found])
    assert np.mean([one.error for one in found]) == pytest.approx(spread, rel=0.08)
    assert np.mean([one.balanced for one in found]) == pytest.approx(ACCURACY.mean(), abs=0.003)


def test_one_image_that_is_right_is_not_certainty():
    one = estimate([np.ones(2)], np.array([0, 1]))
    # 3/4 for the one image, of two classes.
    assert (one.balanced, one.error) == (1.0, pytest.approx(math.sqrt(2 * 3 / 16) / 2))


def test_classes_count_alike():
    right = np.concatenate([np.ones(200), np.zeros(60), np.ones(20), np.zeros(8)])
    assert estimate([right], LABELS).balanced == 0.5


def test_equal_models_are_rarely_told_apart():
    rng = np.random.default_rng(1)
    told = [
        difference([drawn(rng)], [drawn(rng)], LABELS).within_noise is False for _ in range(2000)
    ]
    assert 0.02 < np.mean(told) < 0.08


def test_the_best_of_many_equal_models_is_rarely_told_from_the_worst():
    rng = np.random.default_rng(5)
    labels = np.repeat(np.arange(10), 30)

    def told():
        rights = (rng.random((8, 300)) < 0.7).astype("float64")
        scores = rights.mean(axis=1)
        best, worst = rights[scores.argmax()], rights[scores.argmin()]
        leads = [difference([best], [worst], labels, among) for among in (2, 8)]
        return [not lead.within_noise for lead in leads]

    naive, found = np.mean([told() for _ in range(600)], axis=0)
    assert naive > 0.3 and 0.01 < found < 0.08
    # Tukey's table of 5 %: 3.314 of three and 4.286 of eight, in standard errors of one mean.
    assert noise(2) == NOISE
    assert [noise(3), noise(8)] == pytest.approx([3.314 / 2**0.5, 4.286 / 2**0.5], abs=0.05)


def test_the_same_images_say_more_than_two_numbers():
    rng = np.random.default_rng(2)
    base = drawn(rng)
    better = np.maximum(base, rng.random(len(LABELS)) < 0.5)
    lead = difference([better], [base], LABELS)
    assert not lead.within_noise
    assert lead.balanced == pytest.approx(
        estimate([better], LABELS).balanced - estimate([base], LABELS).balanced
    )
    assert lead.disagree == (better != base).sum()
    alone = math.hypot(estimate([better], LABELS).error, estimate([base], LABELS).error)
    assert lead.error < alone
    back = difference([base], [better], LABELS)
    assert (back.balanced, back.error) == (-lead.balanced, lead.error)


def test_one_image_of_a_rare_class_is_noise():
    base = np.ones(len(LABELS))
    other = base.copy()
    other[-1] = 0.0
    lead = difference([base], [other], LABELS)
    assert lead.balanced == pytest.approx(1 / 8 / 4)
    assert lead.error == pytest.approx(lead.balanced)
    assert lead.within_noise
    assert NOISE > 1


def test_equal_predictions_differ_by_nothing():
    right = drawn(np.random.default_rng(3))
    lead = difference([right], [right], LABELS)
    assert (lead.balanced, lead.error, lead.within_noise) == (0.0, 0.0, True)


def test_seeds_that_disagree_widen_the_error():
    rng = np.random.default_rng(4)
    one = drawn(rng)
    worse = drawn(rng, ACCURACY - 0.3)
    assert estimate([one, worse], LABELS).error > 2 * estimate([one, one], LABELS).error
    assert estimate([one, one], LABELS) == estimate([one], LABELS)
    base = drawn(rng)
    steady = difference([one, one], [base, base], LABELS)
    assert difference([one, worse], [base, base], LABELS).error > steady.error
    assert steady == difference([one], [base], LABELS)
