"""Reads the CIFAR batches, which are pickles, without running anything that a pickle names.

The unpickler admits the handful of names that a pickled NumPy array refers to and answers each with
a stand-in that only remembers its arguments; the arrays are then rebuilt from the remembered bytes
by `numpy.frombuffer`. Not even NumPy's own reconstruction functions are called by the pickle.
"""

import math
import pickle
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.text_table import shown

_SIZES = {"u1": 1, "i1": 1, "i4": 4, "u4": 4, "i8": 8, "u8": 8}


class _DtypeRecord:
    """Stands in for `numpy.dtype`."""

    def __init__(self, code: Any, *_: Any) -> None:
        self.code = code.decode("ascii") if isinstance(code, bytes) else str(code)
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        order = state[1]
        order = order.decode("ascii") if isinstance(order, bytes) else str(order)
        self.order = ">" if order == ">" else "<"

    def resolve(self) -> np.dtype[Any]:
        if self.code not in _SIZES:
            raise pickle.UnpicklingError(f"arrays of type {self.code!r} are not admitted")
        return np.dtype(self.order + self.code)


class _ArrayRecord:
    """Stands in for `numpy.ndarray`, and for the functions that rebuild one."""

    def __init__(self, shape: Any = (), dtype: Any = None, fortran: bool = False, raw: Any = b""):
        self.__setstate__((1, shape, dtype, fortran, raw))

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state

    def resolve(self) -> NDArray[Any]:
        if not isinstance(self.dtype, _DtypeRecord) or not isinstance(self.raw, bytes | bytearray):
            raise pickle.UnpicklingError("an array has no data")
        dtype = self.dtype.resolve()
        shape = tuple(int(n) for n in self.shape)
        if any(n < 0 for n in shape) or math.prod(shape) * dtype.itemsize != len(self.raw):
            raise pickle.UnpicklingError("an array has the wrong number of bytes")
        flat = np.frombuffer(bytes(self.raw), dtype=dtype)
        return flat.reshape(shape[::-1]).T if self.fortran else flat.reshape(shape)


def _reconstruct(*_: Any) -> _ArrayRecord:
    return _ArrayRecord()


def _frombuffer(raw: Any, dtype: Any, shape: Any, order: Any) -> _ArrayRecord:
    return _ArrayRecord(shape, dtype, order == "F", raw)


def _scalar(dtype: Any, raw: Any = b"") -> _ArrayRecord:
    return _ArrayRecord((), dtype, False, raw)


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    # Python 3 writes bytes this way in protocols 0 to 2.
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"the encoding {encoding!r} is not admitted")
    return str(text).encode("latin-1")


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _ArrayRecord,
    ("numpy", "dtype"): _DtypeRecord,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):
    _ADMITTED[_core + ".multiarray", "_reconstruct"] = _reconstruct
    _ADMITTED[_core + ".multiarray", "scalar"] = _scalar
    _ADMITTED[_core + ".numeric", "_frombuffer"] = _frombuffer


class _RestrictedUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Looks a global name up in the admitted ones only."""
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"the name {module}.{name} is not admitted") from None


def read_batch(file: IO[bytes]) -> dict[str, Any]:
    """Reads one pickled dictionary of arrays, lists, strings and numbers.

    Args:
        file: a binary file, at its beginning.

    Returns:
        The dictionary: keys as text, arrays as NumPy arrays, Python 2 strings as bytes.

    Raises:
        ValueError: if the file is not such a pickle, is truncated, or names anything else than the
            parts of a NumPy array.
    """
    try:
        content = _RestrictedUnpickler(file, encoding="bytes").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError("it does not hold a dictionary")
        return {
            key.decode("latin-1") if isinstance(key, bytes) else str(key): _resolved(value)
            for key, value in content.items()
        }
    except Exception as error:  # a damaged pickle may raise anything
        words = shown(" ".join(str(error).split()))[:200] or type(error).__name__
        raise ValueError(f"not a readable batch: {words}") from error


def _resolved(value: Any) -> Any:
    if isinstance(value, _ArrayRecord):
        return value.resolve()
    if isinstance(value, list):
        return [int(v.resolve()) if isinstance(v, _ArrayRecord) else v for v in value]
    return value
