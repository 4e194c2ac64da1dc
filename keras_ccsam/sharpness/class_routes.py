"""CC-SAM of any weights at the price of two steps: each sample takes its own class's way.

Where no layer couples samples, the loss of sample i under the perturbation of its class needs only
sample i:

    pass 1   G_i = grad l_i(w)               the weight gradients of one backward pass, unsummed
             T_c = sum_{i in B_c} G_i        eps_c = length_c T_c / ||T_c||,   g_c = T_c / |B_c|
    pass 2   sum_i grad l_i(w + eps_{y_i})   every sample with weights of its own, gathered by class

Both passes are vectorised over the samples, `chunk` at a time, with static shapes; the sum of all
T_c is the clean gradient, so no third pass is needed. Beside the weights, memory holds T, one row
of k scalars for each class (at most B rows), and a few times chunk x k scalars.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.method import Samples, at_least_float32, global_norm
from keras_ccsam.typing import Tensor

# 64 MiB of float32 for one set of weights a sample.
_CHUNK_SCALARS = 2**24


class Routes(NamedTuple):
    """What the two passes leave behind. Gradients are of sums over samples, times the loss scale.

    Attributes:
        clean_loss: scalar, the sum of the samples' losses.
        flat_loss: scalar, the same under each sample's own class's perturbation.
        clean: the gradient of the first at each of the values; of the perturbed ones only, zeros
            elsewhere, where `clean` was not asked for.
        flat: the gradient of the second.
        predictions: (B, K) of the clean weights, float32 or wider.
    """

    clean_loss: Tensor
    flat_loss: Tensor
    clean: list[Tensor]
    flat: list[Tensor]
    predictions: Tensor


def routed_passes(
    samples: Samples,
    values: Sequence[Tensor],
    perturbed: Sequence[int],
    labels: Tensor,
    num_classes: int,
    length: Callable[[Tensor, Tensor, Tensor], Tensor],
    scale: Tensor,
    convolutions: bool,
    chunk: int | None = None,
    clean: bool = True,
) -> Routes:
    """Both passes over a batch.

    Args:
        samples: the batch, sample by sample.
        values: of all trainable variables.
        perturbed: the positions in `values` of w, the weights that are perturbed.
        labels: (B,) int32.
        num_classes: K.
        length: maps ||w||, the norms ||g_c|| (K,) and the classes (K,) to the steps' lengths.
        scale: the loss scale of mixed precision.
        convolutions: whether the network convolves.
        chunk: samples at a time; by default as many as keep chunk x k within 2^24 scalars.
        clean: whether the clean gradient is wanted of the weights that are not perturbed, too.
    """
    values = [ops.stop_gradient(ops.convert_to_tensor(value)) for value in values]
    weights = [values[i] for i in perturbed]
    weight_norm = global_norm(weights)
    real = weight_norm.dtype
    rows = _Rows(labels, _chunk_size(labels, weights, chunk))

    present = ops.sum(ops.one_hot(labels, num_classes, dtype="int32"), axis=0) > 0
    # Only classes of the batch have a row in T: with thousands of classes most are absent.
    slot_of_class = ops.maximum(ops.cumsum(ops.cast(present, "int32")) - 1, 0)
    slots = ops.take(slot_of_class, labels)
    height = min(num_classes, rows.batch) if isinstance(rows.batch, int) else num_classes

    def losses(positions: Sequence[int]) -> Callable[..., Any]:
        """The masked, scaled loss of a sample at the values of these positions."""

        def loss(own: list[Tensor], sample: Any) -> tuple[Tensor, tuple[Tensor, Tensor]]:
            full = list(values)
            for i, value in zip(positions, own, strict=True):
                full[i] = value
            value, prediction = samples.loss(full, sample["data"])
            value = ops.where(sample["valid"], value, ops.zeros_like(value))
            return value * ops.cast(scale, value.dtype), (value, prediction)

        return loss

    def run(positions: Sequence[int], own: list[Tensor], stacked: Sequence[bool], at: Any) -> Any:
        sample = {"data": rows.take(samples.data, at.index), "valid": at.valid}
        loss = losses(positions)
        return backend.sample_gradients(loss, own, stacked, sample, convolutions)

    untouched = [i for i in range(len(values)) if i not in set(perturbed)]
    others = untouched if clean else []
    positions = [*perturbed, *others]
    count = len(perturbed)

    def first_pass(at: Any, total: Tensor, predictions: Tensor, *sums: Tensor) -> tuple[Any, ...]:
        own = [values[i] for i in positions]
        (_, (loss, prediction)), grads = run(positions, own, [False] * len(own), at)
        wide = ops.cast(prediction, real) * ops.cast(at.valid, real)[:, None]
        slot = ops.take(slots, at.index)
        return (
            total + ops.cast(ops.sum(loss), real),
            backend.add_rows(predictions, at.index, wide),
            *[
                backend.add_rows(t, slot, g)
                for t, g in zip(sums[:count], grads[:count], strict=True)
            ],
            *[s + ops.sum(g, axis=0) for s, g in zip(sums[count:], grads[count:], strict=True)],
        )

    clean_loss, predictions, *sums = rows.run(
        first_pass,
        ops.zeros((), real),
        ops.zeros((rows.batch, *samples.prediction_shape), real),
        *[ops.zeros((height, *w.shape), w.dtype) for w in weights],
        *[ops.zeros_like(values[i]) for i in others],
    )
    totals, rest = sums[:count], sums[count:]

    # Radii are not invariant to the loss scale, nor to sums in place of means.
    norm_of_total = ops.take(_row_norms(totals), slot_of_class, axis=0)
    norm_of_total = ops.where(present, norm_of_total, ops.zeros_like(norm_of_total))
    members = ops.sum(ops.one_hot(labels, num_classes, dtype=real), axis=0)
    norm = norm_of_total / (ops.maximum(members, 1.0) * ops.cast(scale, real))
    step = length(weight_norm, norm, ops.arange(num_classes, dtype="int32"))
    step = step / ops.where(norm_of_total > 0, norm_of_total, ops.ones_like(norm_of_total))
    # From classes to rows of T: an absent class adds 0 to a row that is not its own.
    step = ops.segment_sum(ops.where(present, step, ops.zeros_like(step)), slot_of_class, height)

    own_sums = [*[ops.sum(total, axis=0) for total in totals], *rest]
    # T gives way to each class's own weights.
    for position, weight in enumerate(weights):
        total = totals[position]
        shape = (-1,) + (1,) * len(weight.shape)
        length_of_row = ops.reshape(ops.cast(step, total.dtype), shape)
        totals[position] = weight[None] + length_of_row * total

    everything = [*perturbed, *untouched]
    stacked = [True] * count + [False] * len(untouched)

    def second_pass(at: Any, total: Tensor, *sums: Tensor) -> tuple[Any, ...]:
        slot = ops.take(slots, at.index)
        moved = [ops.take(total, slot, axis=0) for total in totals]
        own = [*moved, *[values[i] for i in untouched]]
        (_, (loss, _)), grads = run(everything, own, stacked, at)
        return (
            total + ops.cast(ops.sum(loss), real),
            *[s + ops.sum(g, axis=0) for s, g in zip(sums, grads, strict=True)],
        )

    flat_loss, *flat = rows.run(
        second_pass, ops.zeros((), real), *[ops.zeros_like(values[i]) for i in everything]
    )
    return Routes(
        clean_loss,
        flat_loss,
        _ordered(values, positions, own_sums),
        _ordered(values, everything, flat),
        predictions,
    )


class _Chunk(NamedTuple):
    """Some rows of a batch: `index` (n,) int32 and, False where a row only fills up, `valid`."""

    index: Tensor
    valid: Tensor


class _Rows:
    """The rows of a batch, a fixed number at a time."""

    def __init__(self, labels: Tensor, size: int) -> None:
        static = labels.shape[0]
        self.batch: Any = static if static is not None else ops.shape(labels)[0]
        self._size = size

    def run(self, body: Callable[..., tuple[Any, ...]], *start: Tensor) -> tuple[Any, ...]:
        """Folds `body` over the chunks. A batch that is one chunk needs no loop."""
        if isinstance(self.batch, int) and self.batch <= self._size:
            index = ops.arange(self.batch, dtype="int32")
            return body(_Chunk(index, ops.ones_like(index, dtype="bool")), *start)
        size = self._size

        def step(begin: Tensor, *carry: Tensor) -> tuple[Any, ...]:
            index = begin + ops.arange(size, dtype="int32")
            chunk = _Chunk(ops.minimum(index, self.batch - 1), index < self.batch)
            return (begin + size, *body(chunk, *carry))

        begin = ops.zeros((), "int32")
        end = ops.while_loop(lambda begin, *_: begin < self.batch, step, (begin, *start))
        return tuple(end[1:])

    def take(self, data: Any, index: Tensor) -> Any:
        """These rows of every tensor of a structure."""
        return keras.tree.map_structure(lambda tensor: ops.take(tensor, index, axis=0), data)


def _chunk_size(labels: Tensor, weights: Sequence[Tensor], chunk: int | None) -> int:
    if chunk is None:
        size = sum(_size(weight) for weight in weights)
        chunk = max(1, _CHUNK_SCALARS // size)
    batch = labels.shape[0]
    if batch is None:
        return chunk
    # Equal parts: as many passes as the bound asks for, and as few rows to fill up.
    parts = -(-batch // chunk)
    return int(-(-batch // parts))


def _size(tensor: Tensor) -> int:
    size = 1
    for dimension in tensor.shape:
        size *= int(dimension)
    return size


def _row_norms(tensors: Sequence[Tensor]) -> Tensor:
    """The norm of each row, all tensors together, in at least float32."""
    squares = []
    for tensor in tensors:
        square = ops.square(at_least_float32(tensor))
        squares.append(ops.sum(square, axis=tuple(range(1, len(tensor.shape)))))
    return ops.sqrt(sum(squares))


def _ordered(
    values: Sequence[Tensor], positions: Sequence[int], found: Sequence[Tensor]
) -> list[Tensor]:
    by_position = dict(zip(positions, found, strict=True))
    return [by_position.get(i, ops.zeros_like(value)) for i, value in enumerate(values)]
