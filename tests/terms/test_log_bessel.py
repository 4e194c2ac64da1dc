"""The log-Bessel function and its gradient against SciPy, over orders and arguments."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.special import gammaln, ive

from keras_ccsam import backend
from keras_ccsam.terms.log_bessel import log_bessel, scaled_log_bessel
from tests.support import float_type

DIMENSIONS = (2, 3, 4, 7, 16, 64, 65, 66, 128, 256, 512)
X = np.logspace(-3, 4, 141)


def series(order, x):
    """Gamma(order + 1) (2 / x)^order I_order(x), by its power series: all terms are positive."""
    total, term = np.ones_like(x), np.ones_like(x)
    for k in range(1, 80):
        term = term * (x**2 / 4) / (k * (order + k))
        total = total + term
    return total


def expected(order):
    """g and r, of small arguments by the series, of the others by SciPy's I scaled by exp(-x)."""
    small = np.minimum(X, 0.5 * (order + 1))
    value = np.log(series(order, small)) - small
    ratio = small / (2 * (order + 1)) * series(order + 1, small) / series(order, small)
    large = 0.5 * (order + 1) < X
    x = X[large]
    value[large] = np.log(ive(order, x)) - order * np.log(x / 2) + gammaln(order + 1)
    ratio[large] = ive(order + 1, x) / ive(order, x)
    return value, ratio


def found(order, function=scaled_log_bessel):
    dtype = keras.config.floatx()

    def total(values):
        result = function(order, values[0])
        return ops.sum(result), ops.stop_gradient(result)

    x = ops.convert_to_tensor(X.astype(dtype))
    (_, value), (gradient,) = backend.value_and_grad(total, [x])
    return ops.convert_to_numpy(value), ops.convert_to_numpy(gradient)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_it_is_scipys_in_float64(dimension):
    order = dimension / 2 - 1
    value, ratio = expected(order)
    with float_type("float64"):
        own, gradient = found(order)
    np.testing.assert_allclose(own, value, rtol=1e-11, atol=1e-9)
    # r goes from 1e-6 to 1: its relative error, not that of r - 1.
    np.testing.assert_allclose(gradient + 1.0, ratio, rtol=1e-9)


@pytest.mark.parametrize("dimension", (2, 64, 128, 512))
def test_it_holds_in_float32(dimension):
    order = dimension / 2 - 1
    value, ratio = expected(order)
    own, gradient = found(order)
    np.testing.assert_allclose(own, value, rtol=1e-6, atol=1e-4)
    np.testing.assert_allclose(gradient, ratio - 1.0, rtol=1e-5, atol=1e-6)


def test_the_function_itself():
    with float_type("float64"):
        own, gradient = found(1.5, log_bessel)
    np.testing.assert_allclose(own, np.log(ive(1.5, X)) + X, rtol=1e-10, atol=1e-10)
    # I' / I = I_{nu+1} / I_nu + nu / x
    np.testing.assert_allclose(gradient, ive(2.5, X) / ive(1.5, X) + 1.5 / X, rtol=1e-10)


def test_at_zero_value_and_gradient_are_known():
    def total(values):
        result = scaled_log_bessel(63.0, values[0])
        return ops.sum(result), ops.stop_gradient(result)

    (_, value), (gradient,) = backend.value_and_grad(total, [ops.zeros((2,))])
    np.testing.assert_array_equal(ops.convert_to_numpy(value), 0.0)
    np.testing.assert_array_equal(ops.convert_to_numpy(gradient), -1.0)
