"""The noise of GCL: its law, where it acts, and that nothing else draws any."""

import keras
import numpy as np
from keras import ops

from keras_ccsam import losses

COUNTS = (100, 31, 10)
RARITY = np.array([0.0, np.log(100 / 31) / np.log(10), 1.0])


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_noise_is_a_folded_normal_cut_at_one():
    loss = losses.GCL(COUNTS)
    xi = numpy(loss.noise((20000, 3), seed=1))
    assert xi.shape == (20000, 3)
    assert xi.min() >= 0.0
    assert xi.max() == 1.0  # 3 deviations: 54 of 20000 are cut
    assert abs(xi.mean() - np.sqrt(2 / np.pi) / 3) < 0.005
    assert abs(np.mean(xi == 1.0) - 0.0027) < 0.001
    assert abs(np.mean(xi < 1 / 3) - 0.6827) < 0.01
    assert np.abs(np.corrcoef(xi.T) - np.eye(3)).max() < 0.03  # fresh for every class


def test_an_integer_seed_repeats_and_a_generator_moves_on():
    loss = losses.GCL(COUNTS)
    first = numpy(loss.noise((4, 3), seed=5))
    np.testing.assert_array_equal(first, numpy(loss.noise((4, 3), seed=5)))
    assert np.abs(first - numpy(loss.noise((4, 3), seed=6))).max() > 0.01
    generator = keras.random.SeedGenerator(5)
    draws = [numpy(loss.noise((4, 3), seed=generator)) for _ in range(2)]
    assert np.abs(draws[0] - draws[1]).max() > 0.01


def test_noise_lowers_cosines_by_amplitude_and_rarity():
    loss = losses.GCL(COUNTS, amplitude=0.8)
    cosines = np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype("float32")
    xi = np.random.default_rng(1).uniform(0, 1, (5, 3)).astype("float32")
    clouded = numpy(loss.with_noise(cosines, xi))
    np.testing.assert_allclose(clouded, cosines - 0.8 * xi * RARITY, atol=1e-6)
    quiet = losses.GCL(COUNTS, amplitude=0.0)
    np.testing.assert_array_equal(numpy(quiet.with_noise(cosines, xi)), cosines)


def test_call_draws_nothing_and_takes_the_noise_it_is_given():
    loss = losses.GCL(COUNTS, amplitude=0.8, scale=10.0)
    cosines = np.random.default_rng(0).uniform(-1, 1, (5, 3)).astype("float32")
    labels = np.array([0, 1, 2, 2, 0])
    clean = float(numpy(loss(labels, cosines)))
    assert clean == float(numpy(loss(labels, cosines)))
    assert abs(clean - float(numpy(losses.GCL(COUNTS, 0.0, scale=10.0)(labels, cosines)))) < 1e-6
    clouded = loss.with_noise(cosines, loss.noise((5, 3), seed=3))
    assert float(numpy(loss(labels, clouded))) != clean


def test_half_precision_cosines_keep_the_noise():
    loss = losses.GCL(COUNTS)
    clouded = loss.with_noise(np.full((1, 3), 0.5, "float16"), np.full((1, 3), 1e-4, "float32"))
    assert keras.backend.standardize_dtype(clouded.dtype) == "float32"
    np.testing.assert_allclose(numpy(clouded)[0, 2], 0.5 - 0.5e-4, atol=1e-7)
