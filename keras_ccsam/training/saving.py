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
    file = _InMemory()
    model.save_weights(file)
    content = file.getbuffer()
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
        OSError: as in `save_weights`; the bytes are those of the weights.
    """
    path = Path(path)
    needed = sum(_bytes(variable) for variable in model.variables)
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    if shutil.disk_usage(path.absolute().parent).free < needed:
        raise atomic.no_room(error, path, needed)
    try:
        model.save(path)
    except OSError as failed:
        path.unlink(missing_ok=True)
        if failed.errno in atomic.NO_ROOM:
            raise atomic.no_room(failed, path, needed) from failed
        raise


def _bytes(variable: keras.Variable) -> int:
    """Of a variable's values: `float32` has 32 bits, `float8_e4m3fn` 8, `bool` one byte."""
    bits = re.search(r"\d+", str(variable.dtype))
    size = int(np.prod(variable.shape, dtype="int64"))
    return size * (int(bits[0]) if bits else 8) // 8
