"""The two ways to run a network on samples that have weights of their own.

* `ByLayer`: on the batch as it is, where each layer with such weights has a rule for them
  (`training/moved_layers.py`). The clean pass is then any other step's pass, but for the gradients
  of the weights, which it sums by class; of the moved pass that is true of the weights' gradients
  themselves. Memory holds the weights of one layer at a time for each sample.
* `BySample`: vectorised over samples by the framework, for any layers. Memory holds a few times
  chunk x k scalars.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.class_conditional.sample_rows import Chunk, SampleRows, along_rows
from keras_ccsam.sharpness.objective import Samples
from keras_ccsam.typing import Tensor

Shift = Callable[[int, Tensor, Tensor], Tensor]
"""Of a tap's number, its inputs (n, D) and rows (n, B) of pairs: what is added to its output."""


class SampledBatch(NamedTuple):
    """A batch, and how its weights are told apart.

    Attributes:
        samples: the batch.
        values: of all trainable variables.
        own: the positions of the weights that each sample has its own of, but for taps' kernels.
        shared: the positions of those that all have in common, but for taps' kernels.
        rows: the batch's rows, some or all at a time.
        slots: (B,), the row of T that is a sample's class's.
        scale: what a sample's loss is multiplied with before it is differentiated.
        real: the type of sums over samples.
    """

    samples: Samples
    values: Sequence[Tensor]
    own: Sequence[int]
    shared: Sequence[int]
    rows: SampleRows
    slots: Tensor
    scale: Tensor
    real: str


class Found(NamedTuple):
    """What a pass over some rows finds. Gradients are of sums over samples, times `scale`.

    Attributes:
        loss: scalar, the sum of the losses.
        predictions: (n, K).
        inputs, deltas: (n, D) and (n, U) of each tap.
        own: the gradients of the weights that samples have their own of: of a clean pass with a row
            for each sample, or for each row of T; of a moved pass summed over samples.
        others: those of the other weights, summed over samples.
    """

    loss: Tensor
    predictions: Tensor
    inputs: list[Tensor]
    deltas: list[Tensor]
    own: list[Tensor]
    others: list[Tensor]


class Runs(Protocol):
    """One of the two ways."""

    @property
    def by_row(self) -> bool:
        """Whether a clean pass gives gradients for each row of T, not for each sample."""
        ...

    def clean(self, at: Chunk, others: Sequence[int]) -> Found:
        """At w; `others` are the positions of other weights to differentiate by."""
        ...

    def moved(
        self, at: Chunk, totals: list[Tensor], lengths: Tensor, pairs: Tensor, shift: Shift
    ) -> Found:
        """With each sample's weights moved along its class's row of T, by all weights.

        `totals` is T, and `lengths` has how far along each row; `pairs` (B, B) has the rows that
        `shift` gets.
        """
        ...


class ByLayer:
    """On the batch as it is; `height` is the number of rows of T."""

    def __init__(self, batch: SampledBatch, height: int) -> None:
        self.batch, self.height = batch, height
        self.by_row = batch.rows.whole

    def clean(self, at: Chunk, others: Sequence[int]) -> Found:
        """By way of rows that are zeros."""
        batch = self.batch
        height = self.height if self.by_row else batch.rows.size
        slots = (
            ops.take(batch.slots, at.index) if self.by_row else ops.arange(height, dtype="int32")
        )
        # Nobody reads them: they are one number, in the shape of the gradients.
        rows = [
            ops.broadcast_to(ops.zeros((), w.dtype), (height, *w.shape))
            for w in (batch.values[i] for i in batch.own)
        ]
        data = {"data": batch.samples.clean_data}
        return self._run(at, others, rows, None, slots, data, lambda n, x, along: 0.0)

    def moved(
        self, at: Chunk, totals: list[Tensor], lengths: Tensor, pairs: Tensor, shift: Shift
    ) -> Found:
        """See `Runs`."""
        batch = self.batch
        data = {"data": batch.samples.flat_data, "along": pairs}
        slots = ops.take(batch.slots, at.index)
        everything = [*batch.own, *batch.shared]
        return self._run(at, everything, totals, lengths, slots, data, shift)

    def _run(
        self,
        at: Chunk,
        positions: Sequence[int],
        rows: list[Tensor],
        lengths: Tensor | None,
        slots: Tensor,
        rest: dict[str, Any],
        shift: Shift,
    ) -> Found:
        """Differentiated by the values at `positions`, and without `lengths` by the rows."""
        batch, still = self.batch, lengths is None
        taps, real = batch.samples.taps, batch.real
        rest = batch.rows.take(rest, at.index)
        values = [batch.values[i] for i in positions]
        count = len(positions)

        def loss(given: list[Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor, Any]]:
            full = list(batch.values)
            for i, value in zip(positions, given[:count], strict=True):
                full[i] = value
            zeros = given[count : count + len(taps)]
            shifts = [
                lambda inputs, n=n, zero=zero: shift(n, inputs, rest.get("along")) + zero
                for n, zero in enumerate(zeros)
            ]
            own = given[count + len(taps) :] if still else rows
            losses, predictions, inputs = batch.samples.losses(
                full, rest["data"], shifts, dict(zip(batch.own, own, strict=True)), lengths, slots
            )
            total = ops.sum(ops.where(at.valid, losses, ops.zeros_like(losses)))
            return total * ops.cast(batch.scale, total.dtype), (total, predictions, inputs)

        # The gradient at a zero that is added to a layer's output is the output's.
        zeros = [ops.zeros((batch.rows.size, tap.units), real) for tap in taps]
        (_, (total, predictions, inputs)), grads = backend.value_and_grad(
            loss, [*values, *zeros, *(rows if still else ())]
        )
        mask = ops.cast(at.valid, real)[:, None]
        deltas, of_rows = grads[count : count + len(taps)], grads[count + len(taps) :]
        split = 0 if still else len(batch.own)
        return Found(
            ops.cast(total, real),
            mask * ops.cast(predictions, real),
            [mask * value for value in inputs],
            deltas,
            of_rows if still else grads[:split],
            grads[split:count],
        )


class BySample:
    """Vectorised over samples; `convolutions` says whether the network convolves."""

    by_row = False

    def __init__(self, batch: SampledBatch, convolutions: bool) -> None:
        self.batch, self.convolutions = batch, convolutions

    def clean(self, at: Chunk, others: Sequence[int]) -> Found:
        """Every sample's own gradients."""
        batch = self.batch
        positions = [*batch.own, *others]
        values = [batch.values[i] for i in positions]
        data = {"data": batch.samples.data}
        found = self._run(at, positions, values, [False] * len(values), data, lambda n, x, _: 0.0)
        return found._replace(others=[ops.sum(grad, axis=0) for grad in found.others])

    def moved(
        self, at: Chunk, totals: list[Tensor], lengths: Tensor, pairs: Tensor, shift: Shift
    ) -> Found:
        """See `Runs`."""
        batch = self.batch
        slots = ops.take(batch.slots, at.index)
        steps = ops.take(lengths, slots)
        values = [
            batch.values[i] + along_rows(steps, total) * ops.take(total, slots, axis=0)
            for i, total in zip(batch.own, totals, strict=True)
        ]
        values += [batch.values[i] for i in batch.shared]
        stacked = [True] * len(batch.own) + [False] * len(batch.shared)
        data = {"data": batch.samples.flat_data, "along": pairs}
        found = self._run(at, [*batch.own, *batch.shared], values, stacked, data, shift)
        own, others = ([ops.sum(g, axis=0) for g in each] for each in (found.own, found.others))
        return found._replace(own=own, others=others)

    def _run(
        self,
        at: Chunk,
        positions: Sequence[int],
        values: list[Tensor],
        stacked: Sequence[bool],
        rest: dict[str, Any],
        shift: Shift,
    ) -> Found:
        """Each sample's loss, differentiated by `values`, of which some have a row for each."""
        batch = self.batch
        taps, real = batch.samples.taps, batch.real

        def loss(given: list[Tensor], sample: Any) -> tuple[Tensor, tuple[Tensor, Tensor, Any]]:
            full = list(batch.values)
            for i, value in zip(positions, given[: len(positions)], strict=True):
                full[i] = value
            zeros = given[len(positions) :]
            along = sample["along"][None] if "along" in sample else None
            shifts = [
                lambda inputs, n=n, zero=zero: shift(n, inputs, along) + zero[None]
                for n, zero in enumerate(zeros)
            ]
            value, prediction, inputs = batch.samples.loss(full, sample["data"], shifts)
            value = ops.where(sample["valid"], value, ops.zeros_like(value))
            return value * ops.cast(batch.scale, value.dtype), (value, prediction, inputs)

        sample = {"valid": at.valid, **batch.rows.take(rest, at.index)}
        # The gradient at a zero that is added to a layer's output is the output's.
        zeros = [ops.zeros((batch.rows.size, tap.units), real) for tap in taps]
        (_, (losses, predictions, inputs)), grads = backend.sample_gradients(
            loss, [*values, *zeros], [*stacked, *[True] * len(taps)], sample, self.convolutions
        )
        mask = ops.cast(at.valid, real)[:, None]
        count, split = len(values), len(batch.own)
        return Found(
            ops.cast(ops.sum(losses), real),
            mask * ops.cast(predictions, real),
            [mask * value for value in inputs],
            list(grads[count:]),
            list(grads[:split]),
            list(grads[split:count]),
        )
