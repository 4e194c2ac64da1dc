"""What arrays are known by."""

import hashlib
from collections.abc import Iterable

import numpy as np

from keras_ccsam.data.batches.reading import in_order, read_in_pieces
from keras_ccsam.data.images.store import ImageStore


def digest(arrays: Iterable[np.ndarray | ImageStore]) -> str:
    """SHA-256 over arrays: their types, shapes and little-endian bytes. A store is read through."""
    found = hashlib.sha256()
    for array in arrays:
        if isinstance(array, ImageStore):
            found.update(f"{array.dtype.newbyteorder('<').str}{array.shape}".encode())
            for piece in read_in_pieces(array, in_order(len(array))):
                found.update(np.ascontiguousarray(piece, piece.dtype.newbyteorder("<")).tobytes())
            continue
        array = np.asarray(array)
        array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
