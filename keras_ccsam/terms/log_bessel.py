"""The logarithm of the modified Bessel function I_nu, for orders and arguments of any size.

    g(x) = log( Gamma(nu + 1) (2 / x)^nu I_nu(x) ) - x,    g(0) = 0,    g'(x) = r(x) - 1
    r(x) = I_{nu+1}(x) / I_nu(x)

I_nu itself leaves every type of numbers: I_255(1e-3) is 1e-1348 and I_0(1e4) 1e4341. g is at most
some hundreds, and has no term that grows as x goes to 0. At an order of at least 32 it is the
uniform expansion, with s = sqrt(nu^2 + x^2) and t = nu / s,

    I_nu(x) = exp(s) (x / (nu + s))^nu / sqrt(2 pi s)  sum_k U_k(t) / nu^k

to k = 5. Below, the recurrence goes down from there, the way in which I is stable:

    x r_nu = x^2 / q,    I_nu / x^nu = q I_{nu+1} / x^{nu+1},    q = 2 (nu + 1) + x r_{nu+1}

The gradient is r as the same recurrence gives it, and no derivative of the expansion.

References:
    Olver, Lozier, Boisvert and Clark (editors), NIST Handbook of Mathematical Functions, 2010
    (10.41.3 and 10.41.9 for the expansion and its polynomials, 10.29.1 for the recurrence).
"""

import math

from keras import ops

from keras_ccsam.typing import Tensor

_FROM = 32
# Of U_k(t) / nu^k = s^-k sum_j c_j t^(2 j), the c_j of k = 1 to 5 (NIST 10.41.9).
_U = (
    (1 / 8, -5 / 24),
    (9 / 128, -77 / 192, 385 / 1152),
    (75 / 1024, -4563 / 5120, 17017 / 9216, -85085 / 82944),
    (3675 / 32768, -96833 / 40960, 144001 / 16384, -7436429 / 663552, 37182145 / 7962624),
    (
        59535 / 262144,
        -67608983 / 9175040,
        250881631 / 5898240,
        -108313205 / 1179648,
        5391411025 / 63700992,
        -5391411025 / 191102976,
    ),
)


def scaled_log_bessel(order: float, x: Tensor) -> Tensor:
    """g(x): log I_nu(x) without what makes it large; 0 at 0.

    Args:
        order: nu, at least 0.
        x: of at least 0 and any shape, float32 or wider.
    """
    fixed = ops.stop_gradient(x)
    value, ratio = _value_and_ratio(order, fixed)
    # The value to the last bit, with the gradient that was computed.
    return ops.stop_gradient(value) + ops.stop_gradient(ratio - 1.0) * (x - fixed)


def log_bessel(order: float, x: Tensor) -> Tensor:
    """log I_nu(x) of x above 0; see `scaled_log_bessel`."""
    constant = order * math.log(2.0) + math.lgamma(order + 1.0)
    return scaled_log_bessel(order, x) + x + order * ops.log(x) - constant


def _value_and_ratio(order: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """g(x) and r(x)."""
    steps = max(0, math.ceil(_FROM - order))
    square = ops.square(x)
    value, scaled = _expanded(order + steps, x, square)
    for step in reversed(range(steps)):
        twice = 2.0 * (order + step + 1.0)
        value = value + ops.log1p(scaled / twice)
        scaled = square / (twice + scaled)
    positive = ops.where(x > 0, x, ops.ones_like(x))
    return value, scaled / positive


def _expanded(nu: float, x: Tensor, square: Tensor) -> tuple[Tensor, Tensor]:
    """g and x r of a large order: the uniform expansion, without a difference of large numbers."""
    s, above = ops.sqrt(nu * nu + square), ops.sqrt((nu + 1.0) ** 2 + square)
    series = _sum(nu, s)
    over = square / (s + nu)  # s - nu
    value = -nu * (x + over) / (s + x) - nu * ops.log1p(over / (2.0 * nu))
    value = value - 0.5 * ops.log(s / nu) + ops.log(series / _sum_at_zero(nu))
    step = (2.0 * nu + 1.0) / (above + s)  # above - s
    exponent = step - nu * ops.log1p((1.0 + step) / (nu + s))
    scaled = square / (nu + 1.0 + above) * ops.exp(exponent) * ops.sqrt(s / above)
    return value, scaled * _sum(nu + 1.0, above) / series


def _sum(order: float, s: Tensor) -> Tensor:
    """Sum of U_k(t) / nu^k."""
    t2 = ops.square(order / s)
    total = ops.zeros_like(s)
    for coefficients in reversed(_U):
        polynomial = ops.zeros_like(s)
        for c in reversed(coefficients):
            polynomial = polynomial * t2 + c
        total = (total + polynomial) / s
    return 1.0 + total


def _sum_at_zero(order: float) -> float:
    """The same at x = 0, where t is 1 and s the order."""
    total = 0.0
    for coefficients in reversed(_U):
        total = (total + sum(coefficients)) / order
    return 1.0 + total
