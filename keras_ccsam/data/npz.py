"""Opens npz files that come from outside."""

import os
import zipfile
import zlib

import numpy as np
from numpy.lib.npyio import NpzFile

# What opening a damaged file, or reading an array of it, may raise.
UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)


def open_npz(path: str | os.PathLike[str]) -> NpzFile:
    """Opens an npz file without admitting pickles; close it, or use it in a `with` statement.

    Raises:
        ValueError: if the file is no npz at all, which NumPy would take for a pickle.
        OSError: if it cannot be opened.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError("the file is no npz, or is truncated")
    archive = np.load(path, allow_pickle=False)
    if not isinstance(archive, NpzFile):
        raise ValueError("the file is no npz")
    return archive
