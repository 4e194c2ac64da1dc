"""Validation images weighed with what is known, held to what it is the best guess of."""

import numpy as np
import pytest

from keras_ccsam.auto.kinds import KINDS
from keras_ccsam.auto.weighing import SPREAD, weighed
from keras_ccsam.auto.wording import _signed

pytestmark = pytest.mark.any_backend

NAMES = tuple(KINDS)
EXPECTED = {name: kind.expected for name, kind in KINDS.items()}
# As the digits hold out: three classes of one or two images.
COUNTS = (26, 17, 11, 7, 5, 3, 2, 2, 1, 1)


def drawn(rng, counts, truth):
    """Which images recipes have right, where some images are harder for all of them."""
    labels = np.repeat(np.arange(len(counts)), counts)
    ease, own = rng.random(len(labels)), rng.random((len(truth), len(labels)))
    return labels, (0.7 * ease + 0.3 * own < truth[:, None]).astype("float64")


def accuracy(truth):
    """What `drawn` draws on average."""
    return np.mean(np.clip((truth[:, None] - 0.7 * np.linspace(0, 1, 401)) / 0.3, 0, 1), axis=1)


@pytest.mark.parametrize("more", [1, 3])
def test_images_and_what_is_known_choose_better_than_either(more):
    rng = np.random.default_rng(0)
    prior = np.array([EXPECTED[name] for name in NAMES])
    lost = {"images": [], "known": [], "both": []}
    shares = []
    for _ in range(600):
        truth = 0.6 + 0.7 * (prior + rng.normal(0, SPREAD, len(NAMES)))
        labels, right = drawn(rng, [more * n for n in COUNTS], truth)
        found = weighed({n: [r] for n, r in zip(NAMES, right, strict=True)}, labels, EXPECTED)
        balanced = np.mean([right[:, labels == c].mean(1) for c in range(10)], axis=0)
        scores = np.array([found.scores[name] for name in NAMES])
        assert scores.mean() == pytest.approx(balanced.mean())
        shares.append(found.images)
        expected = accuracy(truth)
        for name, ranking in (("images", balanced), ("known", prior), ("both", scores)):
            lost[name].append(expected.max() - expected[ranking.argmax()])
    means = {name: np.mean(values) for name, values in lost.items()}
    assert means["both"] < 0.95 * min(means["images"], means["known"])
    assert (0.1, 0.2)[more > 1] < np.mean(shares) < (0.2, 0.4)[more > 1]


def test_many_images_decide_alone():
    rng = np.random.default_rng(1)
    truth = np.linspace(0.8, 0.7, len(NAMES))  # the other way around than is known
    labels, right = drawn(rng, (3000,) * 10, truth)
    found = weighed({n: [r] for n, r in zip(NAMES, right, strict=True)}, labels, EXPECTED)
    assert found.images > 0.95
    assert max(found.scores, key=lambda name: found.scores[name]) == NAMES[0]


def test_where_nothing_is_known_or_nothing_differs():
    labels = np.array([0, 0, 1, 1])
    rights = {"a": [np.array([1.0, 0, 1, 0])], "b": [np.array([1.0, 1, 1, 0])]}
    for expected in ({}, {"a": 0.05}, {"a": 0.05, "b": 0.05}):
        found = weighed(rights, labels, expected)
        assert found.images == 1.0 and found.scores == {"a": 0.5, "b": 0.75}
    alike = weighed({"a": rights["b"], "b": rights["b"]}, labels, {"a": 0.05, "b": 0.01})
    assert alike.images == 0.0 and alike.scores == pytest.approx({"a": 0.77, "b": 0.73})
    assert weighed({"a": rights["a"]}, labels, {"a": 0.05}).scores == {"a": 0.5}


def test_a_difference_of_nothing_has_no_sign():
    assert [_signed(value) for value in (0.0, -0.0, -0.0004, 0.013, -0.2)] == [
        "0.0", "0.0", "0.0", "+1.3", "-20.0",
    ]  # fmt: skip
