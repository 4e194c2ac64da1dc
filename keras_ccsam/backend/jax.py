"""The adapter for JAX. The contract is in `keras_ccsam.backend`."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np

from keras_ccsam.backend import determinism
from keras_ccsam.typing import Tensor

STATELESS = True
KERAS_REPEATS_STEPS = True


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


def sample_gradients(
    fn: Callable[[list[Tensor], Any], tuple[Tensor, Any]],
    values: Sequence[Tensor],
    own: Sequence[bool],
    samples: Any,
    convolutions: bool,
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The losses, auxiliary results and gradients of single samples."""
    single = jax.value_and_grad(fn, has_aux=True)
    values = list(values)
    if not (convolutions and jax.default_backend() == "cpu"):
        axes = [0 if each else None for each in own]
        stacked: Any = jax.vmap(single, in_axes=(axes, 0))(values, samples)
        return stacked

    # XLA for CPUs takes about a thousand times as long for convolutions with a kernel per sample.
    def one(row: Any) -> Any:
        mine, sample = row
        rest = iter(mine)
        mixed = [next(rest) if each else v for v, each in zip(values, own, strict=True)]
        return single(mixed, sample)

    rows = [value for value, each in zip(values, own, strict=True) if each]
    mapped: Any = jax.lax.map(one, (rows, samples))
    return mapped


def hessian_vector_product(
    fn: Callable[[list[Tensor]], Tensor], values: Sequence[Tensor], vectors: Sequence[Tensor]
) -> list[Tensor]:
    """The Hessian of `fn` at `values` times `vectors`: forward over reverse."""
    _, products = jax.jvp(jax.grad(fn), (list(values),), (list(vectors),))
    return list(products)


def add_rows(total: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """`total` with `rows` added to the rows that `index` names."""
    return total.at[index].add(rows)


def row_sum(rows: Tensor) -> Tensor:
    """The sum over the first axis."""
    return jnp.sum(rows, axis=0)


def replay_rng() -> Callable[[], None]:
    """Nothing to remember: every seed is a Keras variable."""
    return lambda: None


def rng_state() -> dict[str, np.ndarray]:
    """None, for the same reason."""
    return {}


def set_rng_state(states: Mapping[str, np.ndarray]) -> None:
    """Nothing to set."""


def accelerator_memory() -> int | None:
    """What JAX has set aside on its first device, or may."""
    device = jax.local_devices()[0]
    limit = (device.memory_stats() or {}).get("bytes_limit") if device.platform != "cpu" else None
    return None if limit is None else int(limit)


def passed_step(logs: dict[str, Any], batches: int = 1) -> Callable[..., Any]:
    """The step itself reads its data here; the state of all variables passes through."""

    def passed(state: Any, iterator: Any) -> tuple[dict[str, Any], Any]:
        for _ in range(batches):
            next(iterator)
        return dict(logs), state

    return passed


def compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as one program of XLA's."""
    return cast(Callable[..., Any], jax.jit(fn))


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Nothing is recorded outside `value_and_grad`."""
    return contextlib.nullcontext()


def make_deterministic() -> None:
    """XLA's programs for CPUs are; those for GPUs are where a flag was there when JAX started.

    Raises:
        ValueError: it was not, and JAX computes on an accelerator.
    """
    before = determinism.are_set("jax", os.environ)
    determinism.set_variables("jax", os.environ)  # for processes that this one starts
    if jax.default_backend() != "cpu" and not before:
        raise ValueError(
            "JAX reads this flag when it starts, so it must be there before Keras is imported: "
            f"XLA_FLAGS='{os.environ['XLA_FLAGS']}'. Received: XLA_FLAGS without it"
        )
    determinism.seen_to("jax")
