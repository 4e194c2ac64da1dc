"""Attention on JAX on CPUs, where `jax.nn.dot_product_attention` is not the fastest.

XLA fuses the softmax, and its gradient, into the copies that the products around it want of their
operands, and so computes each exponential many times over. Barriers around both have them computed
once. XLA's products of a batch of matrices want the heads before the tokens: queries, keys and
values are laid out so once, and not for each product and each of its gradients.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from keras_ccsam.typing import Tensor

_apart = jax.lax.optimization_barrier


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor | None:
    """The contract is in `keras_ccsam.backend`. None where the device is no CPU."""
    if jax.default_backend() != "cpu":
        return None
    query, key, value = _apart(tuple(jnp.swapaxes(each, 1, 2) for each in (query, key, value)))
    wide = jnp.promote_types(query.dtype, jnp.float32)
    scores = jnp.einsum("bntd,bnsd->bnts", query, key, preferred_element_type=wide)
    weights = _softmax(scale, scores).astype(key.dtype)
    outputs = _apart(jnp.einsum("bnts,bnsv->bntv", weights, value))
    return jnp.swapaxes(outputs, 1, 2)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _softmax(scale: float, scores: Tensor) -> Tensor:
    return _apart(jax.nn.softmax(scale * _apart(scores)))


@_softmax.defjvp
def _softmax_jvp(scale: float, primals: Any, tangents: Any) -> tuple[Tensor, Tensor]:
    weights = _softmax(scale, *primals)
    moved = _apart(tangents[0])
    mean = jnp.sum(weights * moved, axis=-1, keepdims=True)
    return weights, _apart(scale * weights * (moved - mean))
