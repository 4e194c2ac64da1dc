"""Reads a set piece by piece: what never holds all images of a store at once.

Whoever looks at a whole set (evaluation, features, landscapes, sharpness) reads it here. Arrays are
sliced as they always were; the images of a store are decoded by threads, a few pieces ahead.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from keras_ccsam import backend
from keras_ccsam.data.batches.assembly import share_of
from keras_ccsam.data.batches.prefetch import Prefetcher, computed
from keras_ccsam.data.batches.workers import thread_count
from keras_ccsam.data.images.store import ImageStore, Rows
from keras_ccsam.training.stoppable import Stoppable

_VALUES = 2**23
"""Pixel values of a batch that is passed through a network: 55 images of 224 x 224 x 3."""
_FEWEST = 8
_PIECE = 64


def holds_store(x: Any) -> bool:
    """Whether an input, or one of several, is read when it is asked for."""
    return any(isinstance(part, ImageStore) for part in keras.tree.flatten(x))


def size_in_bytes(x: Any) -> int:
    """What the inputs would take in memory."""
    parts = keras.tree.flatten(x)
    return sum(int(getattr(p, "nbytes", None) or np.asarray(p).nbytes) for p in parts)


def batch_size_for(x: Any, most: int) -> int:
    """Samples that are passed through a network at a time.

    Args:
        x: inputs (N, ...).
        most: of arrays always so many. Of a store's images fewer where they are large: a network's
            activations are a multiple of its inputs.
    """
    if not holds_store(x):
        return most
    values = max(int(np.prod(part.shape[1:])) for part in keras.tree.flatten(x))
    return max(1, min(most, max(_FEWEST, _VALUES // values)))


def rows_of(x: Any, rows: Any) -> Any:
    """The values at some rows, of an array, a store or a structure of them; read now."""
    return keras.tree.map_structure(lambda part: np.asarray(part[rows]), x)


def read_in_pieces(x: Any, pieces: Sequence[Any]) -> Iterator[Any]:
    """The values at each piece's rows, one piece after the other.

    Args:
        x: inputs (N, ...), an array, a store or a structure of them.
        pieces: of each the rows.
    """
    threads = thread_count("auto", _store(x))
    yield from computed(lambda step: rows_of(x, pieces[step]), len(pieces), threads)


def in_order(length: int, size: int = _PIECE) -> list[Rows]:
    """The rows 0 to length - 1 in pieces of `size`."""
    rows = np.arange(length, dtype=np.int64)
    return [rows[first : first + size] for first in range(0, length, size)]


def predicted(model: keras.Model, x: Any, batch_size: int) -> Any:
    """`model.predict(x)`, of inputs of any kind, also where their number does not divide.

    In a training of several processes each passes its share, and all of them return the whole: so
    every process must come here.

    Args:
        model: any Keras model; of several processes, a built one.
        x: inputs (N, ...), an array, a store or a structure of them.
        batch_size: samples per step at most; see `batch_size_for`.

    Raises:
        stopping.Stopped: between two steps, in a block of `stopping.stoppable`.
    """
    count, index = backend.process_count(), backend.process_index()
    if count == 1:
        return _passed(model, x, batch_size)
    length = len(keras.tree.flatten(x)[0])
    own = share_of(length, (index, count))
    rows = own if len(own) else np.zeros(1, np.int64)  # its outputs tell their shapes
    found = _passed(model, _taken(x, rows), batch_size)

    def together(part: Any) -> Any:
        return np.concatenate(backend.host_gather(np.asarray(part)[: len(own)]))

    return keras.tree.map_structure(together, found)


def _taken(x: Any, rows: Rows) -> Any:
    """Successive rows, of which those of a store are not read."""
    first, stop = int(rows[0]), int(rows[-1]) + 1

    def of(part: Any) -> Any:
        return part.take(rows) if isinstance(part, ImageStore) else part[first:stop]

    return keras.tree.map_structure(of, x)


def _passed(model: keras.Model, x: Any, batch_size: int) -> Any:
    """Inputs passed through a model by this process."""
    if backend.STATELESS and backend.process_count() > 1:
        return _locally(model, x, batch_size)
    devices, asked = backend.sharded_devices(), [Stoppable()]
    if not holds_store(x) and devices == 1:
        return model.predict(x, batch_size=batch_size, verbose=0, callbacks=asked)
    batches = _InOrder(x, batch_size, devices)
    try:
        found = model.predict(batches, verbose=0, callbacks=asked)
    finally:
        batches.close()
    return keras.tree.map_structure(lambda part: part[: batches.length], found)


def _locally(model: keras.Model, x: Any, batch_size: int) -> Any:
    """Where weights lie on the devices of all processes: with copies, on this process's own."""
    state = [
        [np.asarray(keras.ops.convert_to_numpy(v)) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    run = backend.compiled(lambda state, x: model.stateless_call(*state, x, training=False)[0])
    batches = _InOrder(x, batch_size, whole=True)
    try:
        parts = [
            keras.tree.map_structure(np.asarray, run(state, batches[step][0]))
            for step in range(len(batches))
        ]
    finally:
        batches.close()
    return keras.tree.map_structure(lambda *each: np.concatenate(each)[: batches.length], *parts)


class _InOrder(keras.utils.PyDataset):
    """All inputs in order, without labels; the last batch is filled up with its last one.

    Args:
        x: inputs (N, ...).
        batch_size: at most, but for `multiple`.
        multiple: what the length of each batch is a multiple of.
        whole: all batches have the same length.

    Attributes:
        length: N.
    """

    def __init__(self, x: Any, batch_size: int, multiple: int = 1, whole: bool = False) -> None:
        # One Keras worker: the threads are our own (see `prefetch`).
        super().__init__(workers=1, use_multiprocessing=False)
        self.length = len(keras.tree.flatten(x)[0])
        size = -(-batch_size_for(x, batch_size) // multiple) * multiple
        size = min(size, -(-self.length // multiple) * multiple)
        self._x, self._pieces = x, in_order(self.length, size)
        last = self._pieces[-1]
        missing = size - len(last) if whole else -len(last) % multiple
        self._pieces[-1] = np.concatenate([last, np.repeat(last[-1:], missing)])
        threads = min(thread_count("auto", _store(x)), len(self._pieces))
        self._ahead = Prefetcher(self._read, threads)

    def __len__(self) -> int:
        """Batches."""
        return len(self._pieces)

    def __getitem__(self, step: int) -> tuple[Any]:
        """The inputs of a step."""
        return (self._ahead.get(0, step, len(self)),)

    def close(self) -> None:
        """Ends the threads."""
        self._ahead.close()

    def _read(self, _: int, step: int) -> Any:
        return rows_of(self._x, self._pieces[step])


def _store(x: Any) -> object:
    """A store among the inputs, if there is one."""
    return next((part for part in keras.tree.flatten(x) if isinstance(part, ImageStore)), None)
