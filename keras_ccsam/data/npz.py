"""Opens npz files that come from outside."""

import os
import tokenize
import zipfile
import zlib

from numpy.lib.npyio import NpzFile

# What opening a damaged file, or reading an array of it, may raise.
UNREADABLE = (
    OSError,
    EOFError,
    MemoryError,
    RecursionError,
    SyntaxError,
    tokenize.TokenError,
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
    file = open(path, "rb")  # noqa: SIM115 (the archive closes it)
    try:
        if not zipfile.is_zipfile(file):
            raise ValueError("the file is no npz, or is truncated")
        return NpzFile(file, own_fid=True, allow_pickle=False)
    except BaseException:
        file.close()
        raise
