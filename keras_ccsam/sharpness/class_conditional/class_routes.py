"""CC-SAM of any weights at the price of two steps: each sample takes its own class's way.

Where no layer couples samples, the loss of sample i under the perturbation of its class needs only
sample i:

    pass 1   G_i = grad l_i(w)               the weight gradients of one backward pass, unsummed
             T_c = sum_{i in B_c} G_i        eps_c = length_c T_c / ||T_c||,   g_c = T_c / |B_c|
    pass 2   sum_i grad l_i(w + eps_{y_i})   every sample with weights of its own, gathered by class

A Dense layer that sees one row per sample does not even need that. With a_j and d_j its inputs and
output gradients in pass 1, T_c = sum_{j in B_c} a_j d_j^T is never built (heads/closed_form.py):

    ||T_c||^2 = sum_{i,j in B_c} (a_i a_j) (d_i d_j)
    a'_i eps  = length_c / ||T_c||  sum_{j in B_c} (a'_i a_j) d_j          added to its output

and its gradients are sums of the inputs' and output gradients' outer products.

How a pass gives samples their weights is the matter of `runs.py`: layer by layer, where each has a
rule for it, or vectorised over samples. Both have static shapes; the sum of all T_c is the clean
gradient, so no third pass is needed. Beside the weights, memory holds T, one row of k scalars for
each class (at most B rows), and what `runs.py` says.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.class_conditional.runs import ByLayer, BySample, Runs, SampledBatch
from keras_ccsam.sharpness.class_conditional.sample_rows import (
    Chunk,
    SampleRows,
    chunk_size,
    gram,
    in_order,
    outer,
    row_squares,
    same_class,
)
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.method import global_norm
from keras_ccsam.sharpness.objective import Samples
from keras_ccsam.typing import Tensor

Length = Callable[[Tensor, Tensor, Tensor], Tensor]


class Routes(NamedTuple):
    """What the two passes leave behind. Gradients are of sums over samples, times `scale`.

    Attributes:
        clean_loss: scalar, the sum of the samples' losses.
        flat_loss: scalar, the same under each sample's own class's perturbation.
        clean: the gradient of the first at each of the values; none where it was not asked for.
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
    length: Length,
    scale: Tensor,
    convolutions: bool,
    chunk: int | None = None,
    clean: bool = True,
    batch: GlobalBatch | None = None,
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
        chunk: samples at a time; by default as many as `sample_rows.py` finds room for.
        clean: whether the clean gradient is wanted.
        batch: that whose class gradients are meant, where it is more than these rows. T is then
            summed over the replicas, and the taps' inputs and output gradients are gathered.
    """
    routed = _RoutedBatch(
        samples, values, perturbed, labels, num_classes, scale, convolutions, chunk, batch
    )
    first = routed.first_pass(clean)
    clean_gradients = routed.clean_gradients(first) if clean else []
    if batch is not None:
        first = routed.of_all(first, batch)
    steps = routed.steps(first, length)
    flat_loss, flat = routed.second_pass(first, steps)
    return Routes(first.loss, flat_loss, clean_gradients, flat, first.predictions)


class _FirstPass(NamedTuple):
    """What the clean pass leaves behind.

    Attributes:
        loss: scalar, the sum of the samples' losses.
        predictions: (B, K).
        totals: T, one row per class present, for each perturbed weight outside the taps.
        others: the gradients of the weights that are not perturbed, where they are wanted.
        other_positions: their positions.
        inputs: (B, D) of each tap.
        deltas: (B, U), the output gradients of each tap.
    """

    loss: Tensor
    predictions: Tensor
    totals: list[Tensor]
    others: list[Tensor]
    other_positions: list[int]
    inputs: list[Tensor]
    deltas: list[Tensor]


class _Steps(NamedTuple):
    """The lengths of the steps, over ||T_c||.

    Attributes:
        of_row: (rows of T,).
        of_pair: (b, B), for i of these rows and j of the batch in one class that class's, else 0.
    """

    of_row: Tensor
    of_pair: Tensor


class _RoutedBatch:
    """A batch whose samples go their own class's way; see `routed_passes` for the arguments."""

    def __init__(
        self,
        samples: Samples,
        values: Sequence[Tensor],
        perturbed: Sequence[int],
        labels: Tensor,
        num_classes: int,
        scale: Tensor,
        convolutions: bool,
        chunk: int | None,
        batch: GlobalBatch | None,
    ) -> None:
        self.samples, self.labels, self.num_classes = samples, labels, num_classes
        self.scale = scale
        self.values = [ops.stop_gradient(ops.convert_to_tensor(value)) for value in values]
        self.weight_norm = global_norm([self.values[i] for i in perturbed])
        self.real = self.weight_norm.dtype
        self.taps = samples.taps
        self.kernels = [tap.kernel for tap in self.taps]
        self.perturbed = {*perturbed}
        # Weights that need a copy for each sample, and weights that all samples share.
        self.own = [i for i in perturbed if i not in self.kernels]
        self.shared = [i for i in range(len(self.values)) if i not in {*perturbed, *self.kernels}]
        self.weights = [self.values[i] for i in self.own]
        by_layer = samples.movable(self.own)
        self.batch_labels = labels if batch is None else batch.gather(labels)
        present = ops.sum(ops.one_hot(self.batch_labels, num_classes, dtype="int32"), axis=0) > 0
        self.present = present
        # Only classes of the batch have a row in T: with thousands of classes most are absent.
        self.slot_of_class = ops.maximum(ops.cumsum(ops.cast(present, "int32")) - 1, 0)
        self.slots = ops.take(self.slot_of_class, labels)
        # Layer by layer, what a class's images have in common is best used while it is at hand.
        self.rows = SampleRows(
            labels,
            chunk_size(labels, self.weights, chunk, by_layer),
            by=self.slots if by_layer else None,
        )
        size = self.rows.batch if batch is None else batch.size
        self.height = min(num_classes, size) if isinstance(size, int) else num_classes
        batch_and_rows = SampledBatch(
            samples, self.values, self.own, self.shared, self.rows, self.slots, scale, self.real
        )
        self.runs: Runs = (
            ByLayer(batch_and_rows, self.height)
            if by_layer
            else BySample(batch_and_rows, convolutions)
        )

    def first_pass(self, clean: bool) -> _FirstPass:
        """Pass 1: every sample's gradients at w, summed by class."""
        count, taps, real = len(self.weights), self.taps, self.real
        others = self.shared if clean else []

        def body(at: Chunk, *sums: Tensor) -> Any:
            found = self.runs.clean(at, others)
            alone = [found.loss, found.predictions, *found.own, *found.others]
            alone += [*found.inputs, *found.deltas]
            slot = ops.take(self.slots, at.index)
            places = [None, at.index, *[slot] * count, *[None] * len(others)]
            places += [at.index] * 2 * len(taps)
            if not sums:  # the whole batch
                return tuple(
                    self.rows.restored(g) if place is at.index else g
                    for g, place in zip(alone, places, strict=True)
                )
            return tuple(
                s + g if place is None else backend.add_rows(s, place, g)
                for s, g, place in zip(sums, alone, places, strict=True)
            )

        size = self.rows.batch
        starts = (
            ()
            if self.runs.by_row
            else (
                ops.zeros((), real),
                ops.zeros((size, *self.samples.prediction_shape), real),
                *[ops.zeros((self.height, *w.shape), w.dtype) for w in self.weights],
                *[ops.zeros_like(self.values[i]) for i in others],
                *[ops.zeros((size, self.values[tap.kernel].shape[0]), real) for tap in taps],
                *[ops.zeros((size, tap.units), real) for tap in taps],
            )
        )
        loss, predictions, *sums = self.rows.run(body, *starts)
        totals, rest = sums[:count], sums[count : count + len(others)]
        inputs, deltas = sums[count + len(others) :][: len(taps)], sums[len(sums) - len(taps) :]
        return _FirstPass(loss, predictions, totals, rest, others, inputs, deltas)

    def of_all(self, first: _FirstPass, batch: GlobalBatch) -> _FirstPass:
        """The first pass of all replicas, as far as the steps depend on it."""
        return first._replace(
            totals=batch.total(first.totals),
            inputs=[batch.gather(rows) for rows in first.inputs],
            deltas=[batch.gather(rows) for rows in first.deltas],
        )

    def steps(self, first: _FirstPass, length: Length) -> _Steps:
        """How far each class goes along T_c, from ||g_c|| = ||T_c|| / |B_c|."""
        real, slot_of_class, present = self.real, self.slot_of_class, self.present
        labels = self.batch_labels
        slots = ops.take(slot_of_class, labels)
        squares = row_squares(first.totals, ops.zeros((self.height,), real))
        for kernel, inputs, deltas in zip(self.kernels, first.inputs, first.deltas, strict=True):
            if kernel in self.perturbed:
                products = gram(inputs) * gram(deltas) * same_class(labels, labels, real)
                products = ops.sum(products, axis=1)
                squares = squares + ops.segment_sum(products, slots, self.height)
        # Radii are not invariant to the loss scale, nor to sums in place of means.
        norm_of_total = ops.take(ops.sqrt(ops.maximum(squares, 0.0)), slot_of_class, axis=0)
        norm_of_total = ops.where(present, norm_of_total, ops.zeros_like(norm_of_total))
        members = ops.sum(ops.one_hot(labels, self.num_classes, dtype=real), axis=0)
        norm = norm_of_total / (ops.maximum(members, 1.0) * ops.cast(self.scale, real))
        step = length(self.weight_norm, norm, ops.arange(self.num_classes, dtype="int32"))
        step = step / ops.where(norm_of_total > 0, norm_of_total, ops.ones_like(norm_of_total))
        of_pair = same_class(self.labels, labels, real) * ops.take(step, self.labels)[:, None]
        # From classes to rows of T: an absent class adds 0 to a row that is not its own.
        step = ops.where(present, step, ops.zeros_like(step))
        return _Steps(ops.segment_sum(step, slot_of_class, self.height), of_pair)

    def clean_gradients(self, first: _FirstPass) -> list[Tensor]:
        """The sum of all T_c, and what else the first pass found."""
        sums = [*[backend.row_sum(total) for total in first.totals], *first.others]
        sums += [outer(a, d) for a, d in zip(first.inputs, first.deltas, strict=True)]
        return in_order(self.values, [*self.own, *first.other_positions, *self.kernels], sums)

    def second_pass(self, first: _FirstPass, steps: _Steps) -> tuple[Tensor, list[Tensor]]:
        """Pass 2: every sample with the weights of its own class."""
        positions = [*self.own, *self.shared, *self.kernels]

        def shift(n: int, x: Tensor, along: Tensor) -> Tensor:
            if self.kernels[n] not in self.perturbed:
                return 0.0
            products = ops.matmul(x, ops.transpose(first.inputs[n])) * along
            return ops.matmul(products, first.deltas[n])

        def body(at: Chunk, *sums: Tensor) -> tuple[Any, ...]:
            found = self.runs.moved(at, first.totals, steps.of_row, steps.of_pair, shift)
            grads = [*found.own, *found.others]
            grads += [outer(x, d) for x, d in zip(found.inputs, found.deltas, strict=True)]
            alone = [found.loss, *grads]
            return tuple(s + g for s, g in zip(sums, alone, strict=True)) if sums else tuple(alone)

        starts = (
            ()
            if self.rows.whole
            else (ops.zeros((), self.real), *[ops.zeros_like(self.values[i]) for i in positions])
        )
        loss, *flat = self.rows.run(body, *starts)
        return loss, in_order(self.values, positions, flat)
