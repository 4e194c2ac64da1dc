"""The adapter for JAX. The contract is in `keras_ccsam.backend`."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from keras_ccsam.typing import Tensor

STATELESS = True


def value_and_grad(
    fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The loss, the auxiliary results and the gradients of `fn` at `values`."""
    (loss, aux), grads = jax.value_and_grad(fn, has_aux=True)(list(values))
    return (loss, jax.lax.stop_gradient(aux)), grads


def value_and_grads(
    fn: Callable[[list[Tensor]], tuple[Sequence[Tensor], Any]], values: Sequence[Tensor]
) -> tuple[tuple[tuple[Tensor, ...], Any], list[list[Tensor]]]:
    """The losses, the auxiliary results and each loss's gradients of `fn` at `values`."""

    def losses_and_aux(values: list[Tensor]) -> tuple[tuple[Tensor, ...], Any]:
        losses, aux = fn(values)
        return tuple(losses), aux

    losses, pull_back, aux = jax.vjp(losses_and_aux, list(values), has_aux=True)
    zeros = [jnp.zeros_like(loss) for loss in losses]
    grads = []
    for index, loss in enumerate(losses):
        one = (*zeros[:index], jnp.ones_like(loss), *zeros[index + 1 :])
        grads.append(pull_back(one)[0])
    return (losses, jax.lax.stop_gradient(aux)), grads


def replay_rng() -> Callable[[], None]:
    """Nothing to remember: every seed is a Keras variable."""
    return lambda: None


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Nothing is recorded outside `value_and_grad`."""
    return contextlib.nullcontext()


def all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The identity: under `keras.distribution` a step already sees the global batch."""
    return list(tensors)


def replica_count() -> int:
    """One: the batch is global."""
    return 1
