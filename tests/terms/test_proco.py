"""ProCo against SciPy and loops in float64: its scores, means and gradients."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import ive

import keras_ccsam as cc
from tests.support import float_type
from tests.terms.reference import slopes, value_and_gradients

COUNTS = (9, 5, 2)
D, K, P, IMAGES = 5, 3, 8, 4
T = 0.3


def log_i(order, k):
    return np.log(ive(order, k)) + k


def expected_scores(z, means):
    """log C(k) - log C(k') by SciPy, class by class."""
    order = P / 2 - 1
    scores = np.zeros((len(z), K))
    for c, mean in enumerate(means):
        r = np.linalg.norm(mean)
        k = min(P * r / (1 - r**2), 1e5)
        for i, vector in enumerate(z):
            moved = np.linalg.norm(k * mean / r + vector / T)
            of = [log_i(order, x) - order * np.log(x) for x in (moved, k)]
            scores[i, c] = of[0] - of[1]
    return scores


def projected(features, own):
    """The two layers with BatchNorm over all rows between; unit vectors."""
    hidden = features @ own[0] + own[1]
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    hidden = np.maximum(hidden * own[2] + own[3], 0)
    z = hidden @ own[4] + own[5]
    return z / np.linalg.norm(z, axis=1, keepdims=True)


def cross_entropy(scores, labels):
    high = scores.max(1, keepdims=True)
    log_p = scores - high - np.log(np.exp(scores - high).sum(1, keepdims=True))
    return -log_p[np.arange(len(labels)), labels].mean()


def expected(features, labels, own, means):
    z = projected(features, own).reshape(IMAGES, 3, P)
    return np.mean([cross_entropy(expected_scores(z[:, v], means), labels) for v in (1, 2)])


class Means:
    """The authors' two running means: of the last epoch and this one, and of this one."""

    def __init__(self, start):
        self.start = start
        self.old, self.new = (start.copy(), np.zeros(K)), (start.copy(), np.zeros(K))

    def epoch(self):
        self.old, self.new = self.new, (self.start.copy(), np.zeros(K))

    def add(self, vectors, labels):
        for means, counts in (self.old, self.new):
            for vector, c in zip(vectors, labels, strict=True):
                counts[c] += 1
                means[c] = vector if counts[c] == 1 else means[c] + (vector - means[c]) / counts[c]


def made(rng, **options):
    term = cc.terms.ProCo(COUNTS, temperature=T, dimension=P, hidden=6, **options)
    term.make(D, K)
    own = [rng.normal(size=tuple(v.shape)) for v in term.trainable_variables]
    for variable, value in zip(term.trainable_variables, own, strict=True):
        variable.assign(value)
    return term, own


def test_values_means_and_gradients_over_epochs():
    rng = np.random.default_rng(0)
    with float_type("float64"):
        term, own = made(rng)
        start = ops.convert_to_numpy(term.directions).astype("float64")
        means = Means(0.9 * start / np.linalg.norm(start, axis=1, keepdims=True))
        # The second epoch shows class 2 late, the third not at all.
        shown = [[0, 1, 2, 0], [1, 1, 0, 2]], [[0, 1, 1, 0], [0, 2, 1, 1]], [[0, 1, 1, 0]]
        for epoch, steps in enumerate(shown):
            term.at_epoch(epoch, 3)
            if epoch:
                means.epoch()
            for labels in steps:
                labels = np.array(labels)
                features = rng.normal(size=(3 * IMAGES, D))
                outputs = rng.normal(size=(3 * IMAGES, K))
                y = {"labels": np.repeat(labels, 3), "second_labels": np.repeat(labels, 3)}
                y["mix"] = np.ones(3 * IMAGES)
                z = projected(features, own).reshape(IMAGES, 3, P)
                means.add(z[:, 1:].reshape(-1, P), np.repeat(labels, 2))
                fixed = means.old[0].copy()
                found = value_and_gradients(term, features, outputs, y)
                np.testing.assert_allclose(
                    found[0], expected(features, labels, own, fixed), rtol=2e-5
                )
                slope = slopes(lambda x, c=labels, m=fixed: expected(x, c, own, m), features)
                np.testing.assert_allclose(found[1], slope, atol=2e-5)
                np.testing.assert_array_equal(found[2], 0.0)
        for place in range(len(own)):

            def of_own(x, place=place):
                return expected(features, labels, [*own[:place], x, *own[place + 1 :]], fixed)

            np.testing.assert_allclose(found[3][place], slopes(of_own, own[place]), atol=3e-5)
        assert min(np.abs(g).max() for g in found[3][2:]) > 1e-3


def test_scores_of_extreme_concentrations():
    """A class whose vectors agree, one that is spread out, and one with a single vector."""
    rng = np.random.default_rng(1)
    with float_type("float64"):
        term, _ = made(rng)
        z = rng.normal(size=(6, P))
        z /= np.linalg.norm(z, axis=1, keepdims=True)
        means = np.stack([0.99999 * z[0], 1e-3 * z[1], z[2]])
        found = ops.convert_to_numpy(
            term._scores(ops.convert_to_tensor(z), ops.convert_to_tensor(means))
        )
    # A mean of length 1 has the largest k, 1e5, as in the authors' code.
    wanted = expected_scores(z, np.stack([means[0], means[1], means[2] * (1 - 1e-9)]))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_score_is_the_expectation_over_the_density(seed):
    """log E exp(z . x / T), by a mean over a million draws on the circle's sphere."""
    rng = np.random.default_rng(seed)
    order, kappa = 0.5, 3.0  # p = 3: the density of the height along m is exp(k t)
    t = np.log(1 + rng.random(10**6) * (np.exp(2 * kappa) - 1)) / kappa - 1
    angle = rng.random(10**6) * 2 * np.pi
    x = np.stack([t, *(np.sqrt(1 - t**2) * f(angle) for f in (np.cos, np.sin))], 1)
    z = rng.normal(size=3)
    z /= np.linalg.norm(z)
    sampled = np.log(np.exp(x @ z / T).mean())
    moved = np.linalg.norm(kappa * np.array([1.0, 0, 0]) + z / T)
    of = [log_i(order, k) - order * np.log(k) for k in (moved, kappa)]
    np.testing.assert_allclose(sampled, of[0] - of[1], atol=0.01)


def test_a_class_without_an_image_counts_by_its_direction():
    term, _ = made(np.random.default_rng(0))
    z = keras.ops.ones((2, 2, P)) / P**0.5
    means = ops.convert_to_numpy(term._means(z, ops.convert_to_tensor([0, 0])))
    lengths = np.linalg.norm(means, axis=1)
    np.testing.assert_allclose(lengths, [1.0, 0.9, 0.9], rtol=1e-5)
