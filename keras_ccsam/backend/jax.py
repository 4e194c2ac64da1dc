"""The adapter for JAX. The contract is in `keras_ccsam.backend`."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

import jax

from keras_ccsam.typing import Tensor

STATELESS = True


def value_and_grad(
    fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The loss, the auxiliary results and the gradients of `fn` at `values`."""
    (loss, aux), grads = jax.value_and_grad(fn, has_aux=True)(list(values))
    return (loss, jax.lax.stop_gradient(aux)), grads


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
