"""Networks on disk, whole or not at all, also where the disk has no room for them.

HDF5 that writes into a file on a full disk ends the whole process with a segmentation fault when
the file is closed. So weights are put together in memory, and written at once.
"""

import errno
import io
import os
import re
import shutil
from pathlib import Path

import keras
import numpy as np

from keras_ccsam import atomic


class _InMemory(io.BytesIO):
    """A file of weights in memory; Keras looks at the end of its name."""

    def __str__(self) -> str:
        return "model.weights.h5"


def save_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write what `model.save_weights` does, the optimizer's state included.

    Args:
        model: that has been built.
        path: a temporary file, as `atomic.replacing` gives one.

    Raises:
        OSError: the disk is full: how many bytes were needed, and how many are free.
    """
    path = Path(path)
    content = _stored(model)
    try:
        with open(path, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in atomic.NO_ROOM:
            raise atomic.no_room(error, path, len(content)) from error
        raise


def save_model(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Write what `model.save` does.

    Args:
        model: that has been built.
        path: a temporary file that ends in .keras.

    Raises:
        OSError: as in `save_weights`; the bytes are the least that are needed.
    """
    path = Path(path)
    least = weight_bytes(model)
    try:
        # Of a large network Keras writes a temporary HDF5 file beside it.
        if shutil.disk_usage(path.absolute().parent).free < least:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        model.save(path)
    except OSError as error:
        path.unlink(missing_ok=True)
        if error.errno in atomic.NO_ROOM:
            raise atomic.no_room(error, path, size_of(model), least=True) from error
        raise


def size_of(model: keras.Model) -> int:
    """Return how many bytes of weights and configuration a file of a model holds."""
    return len(_stored(model)) + len(model.to_json())


def _stored(model: keras.Model) -> memoryview:
    """The file of a model's weights."""
    file = _InMemory()
    model.save_weights(file)
    return file.getbuffer()


def weight_bytes(model: keras.Model) -> int:
    """Return how many bytes the values of a model's weights take."""
    total = 0
    for variable in model.variables:
        bits = re.search(r"\d+", str(variable.dtype))  # float32; a bool has none, and one byte
        total += int(np.prod(variable.shape, dtype="int64")) * (int(bits[0]) if bits else 8) // 8
    return total
