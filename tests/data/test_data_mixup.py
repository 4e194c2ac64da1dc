"""Mixup mixes images and labels by the same weight and order."""

import numpy as np
import pytest

from keras_ccsam.data.batches.mixing import mixed_targets
from keras_ccsam.data.batches.mixup import Mixup


def mix_batch(x, y, alpha, rng):
    way = Mixup.draw(alpha, len(x), x.shape[1:], rng)
    return way.pixels(x, x, way.order), mixed_targets(way, y, None)[0]


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    y = np.arange(64, dtype=np.int32)  # a label names its image
    return rng.integers(0, 256, size=(64, 8, 8, 3), dtype=np.uint8), y


def test_images_are_mixed_as_the_labels_say(batch):
    x, y = batch
    mixed, targets = mix_batch(x, y, 1.0, np.random.default_rng(1))
    weight = targets["mix"].astype(np.float64)[:, None, None, None]
    expected = weight * x[targets["labels"]] + (1 - weight) * x[targets["second_labels"]]
    np.testing.assert_allclose(mixed, expected, atol=1e-3)
    assert 0.05 < targets["mix"][0] < 0.95
    assert np.array_equal(targets["labels"], y)
    assert sorted(targets["second_labels"]) == y.tolist()
    assert not np.array_equal(targets["second_labels"], y)
    assert not np.allclose(mixed, x, atol=1)


def test_types_range_and_one_weight_a_batch(batch):
    mixed, targets = mix_batch(*batch, 1.0, np.random.default_rng(2))
    assert mixed.dtype == np.float32
    assert mixed.min() >= 0
    assert mixed.max() <= 255.001
    assert targets["labels"].dtype == targets["second_labels"].dtype == np.int32
    assert targets["mix"].dtype == np.float32
    assert targets["mix"].shape == (64,)
    assert len(set(targets["mix"].tolist())) == 1


def test_input_is_left_alone(batch):
    x, y = batch
    before = x.copy()
    mix_batch(x, y, 1.0, np.random.default_rng(0))
    assert np.array_equal(x, before)


def weights(alpha):
    x, y = np.zeros((2, 1, 1, 1), np.uint8), np.zeros(2, np.int32)
    return np.array(
        [mix_batch(x, y, alpha, np.random.default_rng(s))[1]["mix"][0] for s in range(2000)]
    )


def test_weights_follow_the_beta_distribution():
    for alpha in (0.2, 1.0, 4.0):
        drawn = weights(alpha)
        assert abs(drawn.mean() - 0.5) < 0.03
        # Var(Beta(a, a)) = 1 / (4 (2 a + 1))
        assert abs(drawn.var() - 1 / (4 * (2 * alpha + 1))) < 0.01
