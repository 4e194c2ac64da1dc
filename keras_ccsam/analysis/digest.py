"""What arrays are known by."""

import hashlib
from collections.abc import Iterable

import numpy as np


def digest(arrays: Iterable[np.ndarray]) -> str:
    """SHA-256 over arrays: their types, shapes and little-endian bytes."""
    found = hashlib.sha256()
    for array in arrays:
        array = np.asarray(array)
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
