"""LayerNorm on JAX on CPUs: its mean, its deviation and its results are computed once.

Left alone, XLA fuses the chain into each of the products that take its results, forward and back,
and computes it anew for each.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from keras_ccsam.typing import Tensor

_apart = jax.lax.optimization_barrier


def layer_normalization(
    x: Tensor, scale: Tensor | None, offset: Tensor | None, epsilon: float
) -> Tensor | None:
    """The contract is in `keras_ccsam.backend`. None where the device is no CPU."""
    if jax.default_backend() != "cpu":
        return None
    outputs = _normalised(epsilon, x.astype(jnp.promote_types(x.dtype, jnp.float32)))
    outputs = outputs if scale is None else outputs * scale
    return _apart(outputs if offset is None else outputs + offset)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _normalised(epsilon: float, x: Tensor) -> Tensor:
    return _with_rate(epsilon, x)[0]


def _with_rate(epsilon: float, x: Tensor) -> tuple[Tensor, Tensor]:
    """The normalised x, and what its distance from the mean is multiplied with."""
    x = _apart(x)
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(x - mean), axis=-1, keepdims=True)
    mean, rate = _apart((mean, jax.lax.rsqrt(variance + epsilon)))
    return (x - mean) * rate, rate


@_normalised.defjvp
def _normalised_jvp(epsilon: float, primals: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    outputs, rate = _with_rate(epsilon, *primals)
    moved = tangents[0]
    mean = jnp.mean(moved, axis=-1, keepdims=True)
    along = jnp.mean(moved * outputs, axis=-1, keepdims=True)
    mean, along = _apart((mean, along))
    return outputs, _apart((moved - mean - outputs * along) * rate)
