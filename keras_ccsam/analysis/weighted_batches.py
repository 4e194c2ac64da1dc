"""Samples with weights of their own, in batches of one size, to be passed over several times."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import keras
import numpy as np
from keras import ops

from keras_ccsam.data.batches.reading import batch_size_for, read_in_pieces, size_in_bytes
from keras_ccsam.typing import Tensor

GRADIENT_BATCH = 128
"""Samples per pass with gradients, which keeps the memory of a second derivative small."""

KEPT_BYTES = 2**30
"""A set of at most so many bytes lies on the device from the first pass on."""

_SMALLEST = 16


class WeightedBatch(NamedTuple):
    """Some samples, each with its weight.

    Attributes:
        x: (B, ...) inputs, `y` (B,) int32 labels.
        weight: (B,) what a sample's loss counts; 0 for what fills the batch up.
        size: how many samples there are before those that fill up.
    """

    x: Any
    y: Tensor
    weight: Tensor
    size: int


def one_size(samples: int, most: int) -> int:
    """Samples of a batch of a set: `most`, or 16, 128, 1024, ... for a set of fewer."""
    enough = _SMALLEST
    while enough < samples:
        enough *= 8
    return min(most, enough)


class WeightedBatches(Sequence[WeightedBatch]):
    """The samples whose weight is not 0, in order.

    A set that is small is kept on the device; of a larger one each pass reads the batches anew.

    Args:
        x: inputs (N, ...), an array, an `ImageStore` or a structure of them.
        y: labels (N,).
        weight: (N,).
        batch_size: of which the last batch is filled up; a set of fewer samples is one batch of
            16, 128, 1024, ... samples, so that two or three compiled programs serve all sets.
    """

    def __init__(
        self, x: Any, y: np.ndarray, weight: np.ndarray, batch_size: int = GRADIENT_BATCH
    ) -> None:
        rows = np.flatnonzero(weight)
        self._size = one_size(len(rows), batch_size_for(x, batch_size))
        self._x, self._y, self._weight = x, y, weight
        self._pieces = [
            rows[start : start + self._size] for start in range(0, len(rows), self._size)
        ]
        share = len(rows) / max(len(weight), 1)
        self._keep = size_in_bytes(x) * share <= KEPT_BYTES
        self._kept: list[WeightedBatch] | None = None

    @property
    def weights(self) -> np.ndarray:
        """(M,) float64, the weights of all samples, as the device computes with them."""
        kept = [self._weight[rows] for rows in self._pieces]
        return np.concatenate(kept).astype(keras.config.floatx()).astype("float64")

    def __len__(self) -> int:
        """Batches."""
        return len(self._pieces)

    def __iter__(self) -> Iterator[WeightedBatch]:
        """The batches in order; read ahead by threads where they are images in files."""
        if self._kept is not None:
            yield from self._kept
            return
        kept = []
        filled = [np.resize(rows, self._size) for rows in self._pieces]
        for step, x in enumerate(read_in_pieces(self._x, filled)):
            batch = self._made(step, x)
            if self._keep:
                kept.append(batch)
            yield batch
        if self._keep:
            self._kept = kept

    @overload
    def __getitem__(self, index: int) -> WeightedBatch: ...

    @overload
    def __getitem__(self, index: slice) -> list[WeightedBatch]: ...

    def __getitem__(self, index: int | slice) -> WeightedBatch | list[WeightedBatch]:
        """A batch, or some."""
        return list(self)[index]

    def _made(self, step: int, x: Any) -> WeightedBatch:
        rows = self._pieces[step]
        filled = np.resize(rows, self._size)
        counts = np.where(np.arange(self._size) < len(rows), self._weight[filled], 0.0)
        return WeightedBatch(
            keras.tree.map_structure(ops.convert_to_tensor, x),
            ops.convert_to_tensor(self._y[filled].astype("int32")),
            ops.convert_to_tensor(counts.astype(keras.config.floatx())),
            len(rows),
        )
