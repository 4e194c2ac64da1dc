"""GLMC against its formula, row by row in float64."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from tests.support import float_type
from tests.terms.reference import slopes, value_and_gradients

COUNTS = (40, 11, 3)
OPTIONS = {"consistency": 0.7, "label_power": 1.2, "dimension": 5}
RNG = np.random.default_rng(2)
PAIRS, D, K = 4, 6, 3


def cross_entropy(z, c):
    return np.log(np.exp(z - z.max()).sum()) + z.max() - z[c]


def cosine(a, b):
    return a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)


def expected(features, outputs, y, weight, own, fixed, a):
    """L less the compiled loss; z is held at `fixed` where its gradient is stopped."""
    second, projection, prediction = own[:2], own[2:4], own[4:6]
    rarity = np.array([n**-1.2 for n in COUNTS])
    w = rarity / rarity.sum() * len(COUNTS)
    total, plain = 0.0, 0.0
    for i in range(2 * PAIRS):
        u = features[i] @ second[0] + second[1]
        b, c, m = y["labels"][i], y["second_labels"][i], y["mix"][i]
        kept = m * cross_entropy(outputs[i], b) + (1 - m) * cross_entropy(outputs[i], c)
        balanced = m * cross_entropy(u, b) + (1 - m) * cross_entropy(u, c)
        again = m * w[b] * cross_entropy(outputs[i], b)
        again += (1 - m) * w[c] * cross_entropy(outputs[i], c)
        total += weight[i] * (a * balanced + (1 - a) * again) / (2 * PAIRS)
        plain += weight[i] * kept / (2 * PAIRS)
    z = features @ projection[0] + projection[1]
    p = z @ prediction[0] + prediction[1]
    agree = [
        cosine(p[2 * i], fixed[2 * i + 1]) + cosine(p[2 * i + 1], fixed[2 * i])
        for i in range(PAIRS)
    ]
    return total - plain - OPTIONS["consistency"] * np.mean(agree)


@pytest.mark.parametrize("epoch", [0, 3, 9])
def test_value_and_every_gradient(epoch):
    with float_type("float64"):
        term = cc.terms.GLMC(COUNTS, **OPTIONS)
        term.make(D, K)
        term.at_epoch(epoch, 10)
        own = [RNG.normal(size=tuple(v.shape)) for v in term.trainable_variables]
        for variable, value in zip(term.trainable_variables, own, strict=True):
            variable.assign(value)
        features, outputs = RNG.normal(size=(2 * PAIRS, D)), RNG.normal(size=(2 * PAIRS, K))
        y = {
            "labels": RNG.integers(0, K, 2 * PAIRS),
            "second_labels": RNG.integers(0, K, 2 * PAIRS),
            "mix": np.repeat(RNG.random(PAIRS), 2),
        }
        weight = np.full(2 * PAIRS, 2.0)
        found = value_and_gradients(term, features, outputs, y, weight)
    fixed = features @ own[2] + own[3]
    a = 1 - (epoch / 10) ** 2

    def total(features=features, outputs=outputs, own=own):
        return expected(features, outputs, y, weight, own, fixed, a)

    np.testing.assert_allclose(found[0], total(), rtol=1e-6)
    np.testing.assert_allclose(found[1], slopes(lambda x: total(features=x), features), atol=3e-6)
    np.testing.assert_allclose(found[2], slopes(lambda x: total(outputs=x), outputs), atol=3e-6)
    for place, gradient in enumerate(found[3]):

        def of_own(x, place=place):
            return total(own=[*own[:place], x, *own[place + 1 :]])

        np.testing.assert_allclose(gradient, slopes(of_own, own[place]), atol=3e-6)
    assert max(np.abs(gradient).max() for gradient in found[3][2:]) > 1e-3


def test_weights_of_the_classes():
    term = cc.terms.GLMC(COUNTS, label_power=1.0)
    term.make(D, K)
    w = keras.ops.convert_to_numpy(term._class_weights)
    np.testing.assert_allclose(w * np.array(COUNTS), w[0] * COUNTS[0], rtol=1e-6)
    np.testing.assert_allclose(w.sum(), 3.0, rtol=1e-6)


def test_batches_with_one_row_are_refused():
    term = cc.terms.GLMC(COUNTS)
    term.make(D, K)
    with pytest.raises(ValueError, match="2 rows for each image"):
        value_and_gradients(
            term, np.ones((3, D), "float32"), np.ones((3, K), "float32"), np.zeros(3, "int32")
        )
