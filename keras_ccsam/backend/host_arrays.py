"""NumPy arrays as bytes, so that what moves them between processes cannot change their type.

JAX would make float32 of float64, and a text is no tensor. The form is NumPy's own (.npy), without
pickle.
"""

import io
from collections.abc import Callable
from typing import Any

import numpy as np


def to_bytes(array: Any) -> np.ndarray:
    """The array as a vector of uint8.

    Raises:
        ValueError: for an array of objects.
    """
    buffer = io.BytesIO()
    np.save(buffer, np.asarray(array), allow_pickle=False)
    return np.frombuffer(buffer.getvalue(), "uint8")


def from_bytes(data: np.ndarray) -> np.ndarray:
    """The array that `to_bytes` was given."""
    return np.load(io.BytesIO(data.tobytes()), allow_pickle=False)


def gathered(array: Any, gather: Callable[[np.ndarray], np.ndarray]) -> list[np.ndarray]:
    """The arrays of all processes, which may differ in shape.

    Args:
        array: of this process.
        gather: maps a vector of uint8 of one length everywhere to those of all processes, (P, n).
    """
    data = to_bytes(array)
    sizes = gather(np.frombuffer(np.int64(len(data)).tobytes(), "uint8"))
    lengths = [int(np.frombuffer(row.tobytes(), "int64")[0]) for row in np.asarray(sizes)]
    padded = np.zeros(max(lengths), "uint8")
    padded[: len(data)] = data
    rows = np.asarray(gather(padded))
    return [from_bytes(row[:n]) for row, n in zip(rows, lengths, strict=True)]


def sent(
    array: Any,
    place: int,
    gather: Callable[[np.ndarray], np.ndarray],
    send: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """The array of process 0; the others' may have any shape.

    Args:
        array: of this process.
        place: of this process.
        gather: as in `gathered`.
        send: maps a vector of uint8 of one length everywhere to that of process 0.
    """
    data = to_bytes(array)
    sizes = gather(np.frombuffer(np.int64(len(data)).tobytes(), "uint8"))
    length = int(np.frombuffer(np.asarray(sizes)[0].tobytes(), "int64")[0])
    return from_bytes(np.asarray(send(data if place == 0 else np.zeros(length, "uint8"))))


def total(arrays: list[np.ndarray]) -> np.ndarray:
    """The sum in the arrays' own type, in the order of the processes.

    Raises:
        ValueError: where shapes differ.
    """
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1:
        raise ValueError(
            f"What is summed over the processes must have one shape. Received: shapes={shapes}"
        )
    result = arrays[0].copy()
    for array in arrays[1:]:
        result = result + array
    return np.asarray(result)
