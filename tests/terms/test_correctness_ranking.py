"""The correctness ranking loss against loops in float64."""

import keras
import numpy as np
import pytest

import keras_ccsam as cc
from tests.support import float_type
from tests.terms.reference import slopes, value_and_gradients

COUNTS = (7, 4, 3)
RNG = np.random.default_rng(4)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def expected(outputs, index, right, epoch, weight):
    """By pairs, as the paper writes it; the counts as SURE's code normalises them."""
    k = softmax(outputs).max(1)
    c = (right - right.min()) / (max(1, epoch) - right.min())
    total = 0.0
    for i in range(len(k)):
        j = (i + 1) % len(k)
        t = np.sign(c[index[i]] - c[index[j]])
        margin = abs(c[index[i]] - c[index[j]])
        if t:
            total += max(0.0, -t * (k[i] - k[j]) + margin)
    return weight * total / len(k)


def made(rows=1, weight=0.5):
    term = cc.terms.CorrectnessRanking(COUNTS, rows, weight)
    term.make(5, 3)
    return term


@pytest.mark.parametrize("rows", [1, 2])
def test_value_gradient_and_counts(rows):
    with float_type("float64"):
        term = made(rows)
        right = np.zeros(14)
        for epoch in range(4):
            term.at_epoch(epoch, 9)
            index = RNG.permutation(14)[:6]
            outputs = RNG.normal(size=(6 * rows, 3))
            labels = RNG.integers(0, 3, size=6 * rows)
            y = {
                "labels": labels,
                "second_labels": labels,
                "mix": np.ones(6 * rows),
                "index": np.repeat(index, rows),
            }
            features = RNG.normal(size=(6 * rows, 5))
            value, by_features, by_outputs, _ = value_and_gradients(term, features, outputs, y)
            first = outputs[::rows]
            want = expected(first, index, right, epoch, 0.5)
            np.testing.assert_allclose(value, want, atol=1e-12)
            slope = slopes(lambda z, i=index, r=right, e=epoch: expected(z, i, r, e, 0.5), first)
            np.testing.assert_allclose(by_outputs[::rows], slope, atol=1e-8)
            np.testing.assert_array_equal(by_features, 0.0)
            right[index] += first.argmax(1) == labels[::rows]
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(term.right), right)
        assert want > 0.01 and np.abs(slope).max() > 1e-3


def test_batches_without_places_are_refused():
    with pytest.raises(ValueError, match="sample_index=True"):
        value_and_gradients(made(), np.zeros((4, 5)), np.zeros((4, 3)), np.zeros(4, "int32"))


def test_batches_tell_the_place_of_each_row():
    x = RNG.integers(0, 256, (14, 4, 4, 3)).astype("float32")
    x[:, 0, 0, 0] = np.arange(14)
    data = cc.data.from_arrays(x, np.repeat(np.arange(3), COUNTS))
    for views in (None, cc.data.views.RegMixup()):
        rows = 1 if views is None else views.count
        parts = [
            data.batches(batch_size=5, views=views, sample_index=True, process=(i, 2))
            for i in range(2)
        ]
        for part in parts:
            x, y, *_ = part[1]
            np.testing.assert_array_equal(y["index"][::rows], x[::rows, 0, 0, 0])
            assert len(y["index"]) == len(x) and y["index"].dtype == np.int32
            np.testing.assert_array_equal(data.y_train[y["index"]], y["labels"])
