"""The rows of a batch, some at a time, with static shapes."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
from keras import ops

from keras_ccsam.checks import at_least_float32
from keras_ccsam.typing import Tensor

# 64 MiB of float32 for one set of weights per sample.
_CHUNK_SCALARS = 2**24
_USUAL_BATCH = 256  # where a batch's size is not known before the step runs


class Chunk(NamedTuple):
    """Some rows of a batch: `index` (n,) int32 and, False where a row only fills up, `valid`."""

    index: Tensor
    valid: Tensor


class SampleRows:
    """The rows of a batch, a fixed number at a time."""

    def __init__(self, labels: Tensor, size: int | None, by: Tensor | None = None) -> None:
        """`size` at a time, all where it is None; in the order of the numbers `by`, if given."""
        static = labels.shape[0]
        self.batch: Any = static if static is not None else ops.shape(labels)[0]
        # TensorFlow tells the size of a batch that may be the last, smaller one only as it runs.
        known = isinstance(self.batch, int)
        if size is None:
            self.size: Any = self.batch
        else:
            self.size = min(size, self.batch) if known else ops.minimum(size, self.batch)
        self.whole = size is None or (known and self.batch == self.size)
        self._order = None if by is None else ops.cast(ops.argsort(by), "int32")

    def run(self, body: Callable[..., tuple[Any, ...]], *start: Tensor) -> tuple[Any, ...]:
        """Folds `body` over the chunks. A batch that is one chunk needs no loop, and no `start`."""
        if self.whole:
            index = ops.arange(self.batch, dtype="int32")
            return body(Chunk(self._row(index), ops.ones_like(index, dtype="bool")), *start)
        size = self.size

        def step(begin: Tensor, *carry: Tensor) -> tuple[Any, ...]:
            index = begin + ops.arange(size, dtype="int32")
            chunk = Chunk(self._row(ops.minimum(index, self.batch - 1)), index < self.batch)
            return (begin + size, *body(chunk, *carry))

        begin = ops.zeros((), "int32")
        end = ops.while_loop(lambda begin, *_: begin < self.batch, step, (begin, *start))
        return tuple(end[1:])

    def _row(self, index: Tensor) -> Tensor:
        return index if self._order is None else ops.take(self._order, index)

    def restored(self, found: Tensor) -> Tensor:
        """What was found for all rows at once, in the batch's own order."""
        return found if self._order is None else ops.take(found, ops.argsort(self._order), axis=0)

    def take(self, data: Any, index: Tensor) -> Any:
        """These rows of every tensor of a structure."""
        return keras.tree.map_structure(lambda tensor: ops.take(tensor, index, axis=0), data)


def chunk_size(
    labels: Tensor, weights: Sequence[Tensor], chunk: int | None, by_layer: bool
) -> int | None:
    """How many samples have weights of their own at a time; None where there is room for all.

    Layer by layer, only one layer's weights are there for each of them; otherwise all weights are.
    """
    batch = labels.shape[0]
    if chunk is None:
        sizes = [_size(weight) for weight in weights]
        if by_layer and (batch or _USUAL_BATCH) * max([1, *sizes]) <= _CHUNK_SCALARS:
            return None
        chunk = max(1, _CHUNK_SCALARS // max(1, sum(sizes)))
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


def row_squares(tensors: Sequence[Tensor], start: Tensor) -> Tensor:
    """The squared norm of each row, all tensors together, in at least float32."""
    for tensor in tensors:
        square = ops.square(at_least_float32(tensor))
        start = start + ops.sum(square, axis=tuple(range(1, len(tensor.shape))))
    return start


def gram(rows: Tensor) -> Tensor:
    return ops.matmul(rows, ops.transpose(rows))


def outer(inputs: Tensor, deltas: Tensor) -> Tensor:
    """The sum of the outer products of two matrices' rows."""
    return ops.matmul(ops.transpose(inputs), deltas)


def along_rows(steps: Tensor, total: Tensor) -> Tensor:
    """One number per row, in the shape and type that multiply `total`."""
    shape = (-1,) + (1,) * (len(total.shape) - 1)
    return ops.reshape(ops.cast(steps, total.dtype), shape)


def same_class(labels: Tensor, others: Tensor, dtype: str) -> Tensor:
    """[y_i = z_j]."""
    return ops.cast(ops.equal(labels[:, None], others[None, :]), dtype)


def in_order(
    values: Sequence[Tensor], positions: Sequence[int], found: Sequence[Tensor]
) -> list[Tensor]:
    """The tensors found for some positions, zeros at the others."""
    by_position = dict(zip(positions, found, strict=True))
    return [by_position.get(i, ops.zeros_like(value)) for i, value in enumerate(values)]
