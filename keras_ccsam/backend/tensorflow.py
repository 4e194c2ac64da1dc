"""The adapter for TensorFlow. The contract is in `keras_ccsam.backend`."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
import tensorflow as tf

from keras_ccsam.backend import determinism
from keras_ccsam.typing import Tensor

STATELESS = False
KERAS_REPEATS_STEPS = True


def value_and_grad(
    fn: Callable[[list[Tensor]], tuple[Tensor, Any]], values: Sequence[Tensor]
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The loss, the auxiliary results and the gradients of `fn` at `values`."""
    watched = [tf.convert_to_tensor(value) for value in values]
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(watched)
        loss, aux = fn(watched)
    return (loss, _stop_gradient(aux)), _gradients(tape, loss, watched)


def value_and_grads(
    fn: Callable[[list[Tensor]], tuple[Sequence[Tensor], Any]], values: Sequence[Tensor]
) -> tuple[tuple[tuple[Tensor, ...], Any], list[list[Tensor]]]:
    """The losses, the auxiliary results and each loss's gradients of `fn` at `values`."""
    watched = [tf.convert_to_tensor(value) for value in values]
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
        tape.watch(watched)
        losses, aux = fn(watched)
    grads = [_gradients(tape, loss, watched) for loss in losses]
    return (tuple(losses), _stop_gradient(aux)), grads


def _gradients(tape: tf.GradientTape, loss: Tensor, watched: list[Tensor]) -> list[Tensor]:
    grads = tape.gradient(loss, watched, unconnected_gradients="zero")
    # A gather's gradient is a sparse tf.IndexedSlices; the norms need the tensor.
    return [tf.convert_to_tensor(grad) for grad in grads]


def _stop_gradient(aux: Any) -> Any:
    return tf.nest.map_structure(lambda t: t if t is None else tf.stop_gradient(t), aux)


def sample_gradients(
    fn: Callable[[list[Tensor], Any], tuple[Tensor, Any]],
    values: Sequence[Tensor],
    own: Sequence[bool],
    samples: Any,
    convolutions: bool,
) -> tuple[tuple[Tensor, Any], list[Tensor]]:
    """The losses, auxiliary results and gradients of single samples."""

    def one(row: Any) -> Any:
        mine, sample = row
        rest = iter(mine)
        mixed = [next(rest) if each else v for v, each in zip(values, own, strict=True)]
        (loss, aux), grads = value_and_grad(lambda ws: fn(ws, sample), mixed)
        return loss, aux, grads

    rows = [value for value, each in zip(values, own, strict=True) if each]
    # One after the other. TensorFlow's `vectorized_map` loops over the samples at each convolution
    # with a kernel per sample, and corrupts memory with attention (TensorFlow 2.21, CPU).
    first = tf.nest.map_structure(lambda t: t[0], (rows, samples))
    kinds = tf.nest.map_structure(lambda t: t.dtype, one(first))
    losses, aux, grads = tf.map_fn(one, (rows, samples), fn_output_signature=kinds)
    return (losses, aux), list(grads)


def hessian_vector_product(
    fn: Callable[[list[Tensor]], Tensor], values: Sequence[Tensor], vectors: Sequence[Tensor]
) -> list[Tensor]:
    """The Hessian of `fn` at `values` times `vectors`: the gradient of grad . v.

    Reverse over reverse: `ForwardAccumulator` lacks kernels, and traces loops anew in each call.
    """
    watched = [tf.convert_to_tensor(value) for value in values]
    with tf.GradientTape(watch_accessed_variables=False) as outer:
        outer.watch(watched)
        with tf.GradientTape(watch_accessed_variables=False) as inner:
            inner.watch(watched)
            loss = fn(watched)
        grads = _gradients(inner, loss, watched)
        product = tf.add_n(
            [tf.reduce_sum(g * tf.stop_gradient(v)) for g, v in zip(grads, vectors, strict=True)]
        )
    return _gradients(outer, product, watched)


def add_rows(total: Tensor, index: Tensor, rows: Tensor) -> Tensor:
    """`total` with `rows` added to the rows that `index` names."""
    return tf.tensor_scatter_nd_add(total, index[:, None], rows)


def row_sum(rows: Tensor) -> Tensor:
    """The sum over the first axis."""
    return tf.reduce_sum(rows, axis=0)


def replay_rng() -> Callable[[], None]:
    """Nothing to remember: every seed is a Keras variable."""
    return lambda: None


def rng_state() -> dict[str, np.ndarray]:
    """TensorFlow's global `tf.random.Generator`; its older stateful operations show none."""
    return {"tensorflow": np.array(tf.random.get_global_generator().state.numpy())}


def set_rng_state(states: Mapping[str, np.ndarray]) -> None:
    """Sets it."""
    tf.random.get_global_generator().reset(states["tensorflow"])


def accelerator_memory() -> int | None:
    """TensorFlow's own limit, where its user has set one: it does not tell a GPU's memory."""
    devices = tf.config.get_visible_devices("GPU")
    if not devices:
        return None
    found = tf.config.get_logical_device_configuration(devices[0]) or []
    limit = found[0].memory_limit if found else None
    return None if limit is None else int(limit) * 2**20


def passed_step(logs: dict[str, Any], batches: int = 1) -> Callable[..., Any]:
    """The step itself reads its data here."""

    def passed(iterator: Any) -> dict[str, Any]:
        for _ in range(batches):
            next(iterator)
        return dict(logs)

    return passed


def compiled(fn: Callable[..., Any]) -> Callable[..., Any]:
    """`fn` as a graph."""
    return cast(Callable[..., Any], tf.function(fn, reduce_retracing=True))


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Nothing is recorded outside `value_and_grad`."""
    return contextlib.nullcontext()


def make_deterministic() -> None:
    """Deterministic kernels, and an error where there is none. Keras leaves XLA off then."""
    determinism.set_variables("tensorflow", os.environ)
    tf.config.experimental.enable_op_determinism()
    determinism.seen_to("tensorflow")
