"""CC-SAM of any weights at the price of two steps: each sample takes its own class's way.

Where no layer couples samples, the loss of sample i under the perturbation of its class needs only
sample i:

    pass 1   G_i = grad l_i(w)               the weight gradients of one backward pass, unsummed
             T_c = sum_{i in B_c} G_i        eps_c = length_c T_c / ||T_c||,   g_c = T_c / |B_c|
    pass 2   sum_i grad l_i(w + eps_{y_i})   every sample with weights of its own, gathered by class

A Dense layer that sees one row a sample does not even need that. With a_j and d_j its inputs and
output gradients in pass 1, T_c = sum_{j in B_c} a_j d_j^T is never built (heads/closed_form.py):

    ||T_c||^2 = sum_{i,j in B_c} (a_i a_j) (d_i d_j)
    a'_i eps  = length_c / ||T_c||  sum_{j in B_c} (a'_i a_j) d_j          added to its output

and its gradients are sums of the inputs' and output gradients' outer products.

Both passes are vectorised over the samples, `chunk` at a time, with static shapes; the sum of all
T_c is the clean gradient, so no third pass is needed. Beside the weights, memory holds T, one row
of k scalars for each class (at most B rows), and a few times chunk x k scalars.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.checks import at_least_float32
from keras_ccsam.sharpness.method import global_norm
from keras_ccsam.sharpness.objective import Samples
from keras_ccsam.typing import Tensor

# 64 MiB of float32 for one set of weights a sample.
_CHUNK_SCALARS = 2**24


class Routes(NamedTuple):
    """What the two passes leave behind. Gradients are of sums over samples, times `scale`.

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
        scale: what a sample's loss is multiplied with before it is differentiated.
        convolutions: whether the network convolves.
        chunk: samples at a time; by default as many as keep chunk x k within 2^24 scalars.
        clean: whether the clean gradient is wanted of the weights that are not perturbed, too.
    """
    values = [ops.stop_gradient(ops.convert_to_tensor(value)) for value in values]
    weight_norm = global_norm([values[i] for i in perturbed])
    real = weight_norm.dtype
    taps = samples.taps
    kernels = [tap.kernel for tap in taps]
    own_positions = [i for i in perturbed if i not in kernels]
    untouched = [i for i in range(len(values)) if i not in {*perturbed, *kernels}]
    weights = [values[i] for i in own_positions]
    count = len(weights)
    rows = _Rows(labels, _chunk_size(labels, weights, chunk))

    present = ops.sum(ops.one_hot(labels, num_classes, dtype="int32"), axis=0) > 0
    # Only classes of the batch have a row in T: with thousands of classes most are absent.
    slot_of_class = ops.maximum(ops.cumsum(ops.cast(present, "int32")) - 1, 0)
    slots = ops.take(slot_of_class, labels)
    height = min(num_classes, rows.batch) if isinstance(rows.batch, int) else num_classes

    def run(
        positions: Sequence[int],
        own: list[Tensor],
        stacked: Sequence[bool],
        at: _Chunk,
        rest: dict[str, Tensor],
        shift: Callable[[int, Tensor, Tensor], Tensor],
    ) -> tuple[Tensor, Tensor, list[Tensor], list[Tensor], list[Tensor]]:
        """Losses, predictions, the taps' inputs and output gradients, and the other gradients."""

        def loss(own: list[Tensor], sample: Any) -> tuple[Tensor, tuple[Tensor, Tensor, Any]]:
            full = list(values)
            for i, value in zip(positions, own[: len(positions)], strict=True):
                full[i] = value
            zeros = own[len(positions) :]
            shifts = [
                lambda inputs, n=n, zero=zero: shift(n, inputs, sample) + zero[None]
                for n, zero in enumerate(zeros)
            ]
            value, prediction, inputs = samples.loss(full, sample["data"], shifts)
            value = ops.where(sample["valid"], value, ops.zeros_like(value))
            return value * ops.cast(scale, value.dtype), (value, prediction, inputs)

        sample = {"data": rows.take(samples.data, at.index), "valid": at.valid}
        sample |= rows.take(rest, at.index)
        # The gradient at a zero that is added to a layer's output is the output's.
        zeros = [ops.zeros((rows.size, tap.units), real) for tap in taps]
        (_, (losses, predictions, inputs)), grads = backend.sample_gradients(
            loss, [*own, *zeros], [*stacked, *[True] * len(taps)], sample, convolutions
        )
        mask = ops.cast(at.valid, real)[:, None]
        inputs = [mask * value for value in inputs]
        total = ops.cast(ops.sum(losses), real)
        wide = mask * ops.cast(predictions, real)
        return total, wide, inputs, list(grads[len(own) :]), list(grads[: len(own)])

    others = untouched if clean else []
    positions = [*own_positions, *others]

    def first_pass(at: _Chunk, total: Tensor, predictions: Tensor, *sums: Tensor) -> Any:
        own = [values[i] for i in positions]
        loss, wide, inputs, deltas, grads = run(
            positions, own, [False] * len(own), at, {}, lambda n, x, sample: 0.0
        )
        slot = ops.take(slots, at.index)
        places = [*[slot] * count, *[None] * len(others), *[at.index] * 2 * len(taps)]
        return (
            total + loss,
            backend.add_rows(predictions, at.index, wide),
            *[
                s + ops.sum(g, axis=0) if place is None else backend.add_rows(s, place, g)
                for s, g, place in zip(sums, [*grads, *inputs, *deltas], places, strict=True)
            ],
        )

    clean_loss, predictions, *sums = rows.run(
        first_pass,
        ops.zeros((), real),
        ops.zeros((rows.batch, *samples.prediction_shape), real),
        *[ops.zeros((height, *w.shape), w.dtype) for w in weights],
        *[ops.zeros_like(values[i]) for i in others],
        *[ops.zeros((rows.batch, values[tap.kernel].shape[0]), real) for tap in taps],
        *[ops.zeros((rows.batch, tap.units), real) for tap in taps],
    )
    totals, rest = sums[:count], sums[count : count + len(others)]
    inputs, deltas = sums[count + len(others) :][: len(taps)], sums[len(sums) - len(taps) :]

    same = ops.cast(ops.equal(labels[:, None], labels[None, :]), real)
    squares = _row_squares(totals, ops.zeros((height,), real))
    for n, tap in enumerate(taps):
        if tap.kernel in perturbed:
            products = _gram(inputs[n]) * _gram(deltas[n]) * same
            squares = squares + ops.segment_sum(ops.sum(products, axis=1), slots, height)
    # Radii are not invariant to the loss scale, nor to sums in place of means.
    norm_of_total = ops.take(ops.sqrt(ops.maximum(squares, 0.0)), slot_of_class, axis=0)
    norm_of_total = ops.where(present, norm_of_total, ops.zeros_like(norm_of_total))
    members = ops.sum(ops.one_hot(labels, num_classes, dtype=real), axis=0)
    norm = norm_of_total / (ops.maximum(members, 1.0) * ops.cast(scale, real))
    step = length(weight_norm, norm, ops.arange(num_classes, dtype="int32"))
    step = step / ops.where(norm_of_total > 0, norm_of_total, ops.ones_like(norm_of_total))
    along = {"along": same * ops.take(step, labels)[:, None]}
    # From classes to rows of T: an absent class adds 0 to a row that is not its own.
    step = ops.segment_sum(ops.where(present, step, ops.zeros_like(step)), slot_of_class, height)

    clean_sums = [*[ops.sum(total, axis=0) for total in totals], *rest]
    clean_sums += [ops.matmul(ops.transpose(a), d) for a, d in zip(inputs, deltas, strict=True)]
    # T gives way to each class's own weights.
    for position, weight in enumerate(weights):
        total = totals[position]
        shape = (-1,) + (1,) * len(weight.shape)
        length_of_row = ops.reshape(ops.cast(step, total.dtype), shape)
        totals[position] = weight[None] + length_of_row * total

    everything = [*own_positions, *untouched]
    stacked = [True] * count + [False] * len(untouched)

    def shift(n: int, x: Tensor, sample: Any) -> Tensor:
        if kernels[n] not in perturbed:
            return 0.0
        products = ops.matmul(x, ops.transpose(inputs[n])) * sample["along"][None]
        return ops.matmul(products, deltas[n])

    def second_pass(at: _Chunk, total: Tensor, *sums: Tensor) -> tuple[Any, ...]:
        slot = ops.take(slots, at.index)
        own = [ops.take(total, slot, axis=0) for total in totals]
        own += [values[i] for i in untouched]
        loss, _, xs, ds, grads = run(everything, own, stacked, at, along, shift)
        grads = [ops.sum(grad, axis=0) for grad in grads]
        grads += [ops.matmul(ops.transpose(x), d) for x, d in zip(xs, ds, strict=True)]
        return (total + loss, *[s + g for s, g in zip(sums, grads, strict=True)])

    flat_loss, *flat = rows.run(
        second_pass,
        ops.zeros((), real),
        *[ops.zeros_like(values[i]) for i in [*everything, *kernels]],
    )
    return Routes(
        clean_loss,
        flat_loss,
        _ordered(values, [*positions, *kernels], clean_sums),
        _ordered(values, [*everything, *kernels], flat),
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
        self.size = min(size, self.batch) if isinstance(self.batch, int) else size

    def run(self, body: Callable[..., tuple[Any, ...]], *start: Tensor) -> tuple[Any, ...]:
        """Folds `body` over the chunks. A batch that is one chunk needs no loop."""
        if isinstance(self.batch, int) and self.batch == self.size:
            index = ops.arange(self.batch, dtype="int32")
            return body(_Chunk(index, ops.ones_like(index, dtype="bool")), *start)
        size = self.size

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
        chunk = max(1, _CHUNK_SCALARS // max(1, size))
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


def _row_squares(tensors: Sequence[Tensor], start: Tensor) -> Tensor:
    """The squared norm of each row, all tensors together, in at least float32."""
    for tensor in tensors:
        square = ops.square(at_least_float32(tensor))
        start = start + ops.sum(square, axis=tuple(range(1, len(tensor.shape))))
    return start


def _gram(rows: Tensor) -> Tensor:
    return ops.matmul(rows, ops.transpose(rows))


def _ordered(
    values: Sequence[Tensor], positions: Sequence[int], found: Sequence[Tensor]
) -> list[Tensor]:
    by_position = dict(zip(positions, found, strict=True))
    return [by_position.get(i, ops.zeros_like(value)) for i, value in enumerate(values)]
