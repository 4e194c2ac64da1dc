"""The characteristic radius: its value, its optimum, its edges."""

import numpy as np
import pytest
from keras import ops

from keras_ccsam.sharpness import characteristic_radius, step_length


def radius(norm, counts, weight_norm=10.0, size=650):
    arrays = [ops.convert_to_tensor(np.asarray(a, "float32")) for a in (weight_norm, norm, counts)]
    return ops.convert_to_numpy(characteristic_radius(*arrays, size))


def test_golden_values():
    rho = radius([1.0, 1.0], [5000, 25])
    np.testing.assert_allclose(rho, [0.052667, 0.200080], atol=1e-6)
    length = ops.convert_to_numpy(step_length(rho, 650))
    np.testing.assert_allclose(length, [1.342742, 5.101061], rtol=1e-6)


@pytest.mark.parametrize(("norm", "count"), [(1.0, 5000), (0.3, 25), (7.0, 2)])
def test_the_two_terms_of_the_bound_are_equal_there(norm, count):
    rho = radius(norm, count).astype("float64")
    ascent, complexity = 650**0.5 * rho * norm, 10.0 / (2 * rho * (count - 1) ** 0.5)
    np.testing.assert_allclose(ascent, complexity, rtol=1e-5)
    for factor in (0.9, 1.1):
        other = ascent * factor + complexity / factor
        assert other > ascent + complexity


def test_rarer_is_wider_and_one_image_counts_as_two():
    rho = radius(np.ones(4), [5000, 50, 2, 1])
    assert (np.diff(rho[:3]) > 0).all()
    assert rho[3] == rho[2] and np.isfinite(rho).all()


def test_without_a_gradient_there_is_no_step():
    assert radius(0.0, 10) == 0.0
