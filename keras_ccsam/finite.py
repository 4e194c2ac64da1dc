"""NaN and infinity in inputs and weights, found before a network makes something of them.

What a network makes of them need not be NaN: XLA on a CPU, which JAX uses there, may take the
maximum of NaN and 0 for 0, and a broken backbone with a ReLU then has features of zeros.
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

_PIECE = 2**22


def check_finite(x: Any, name: str = "x") -> None:
    """Refuses inputs with NaN or infinity.

    Args:
        x: an array, a tensor, or a dict or list of them, as a Keras model takes them. Integers
            cannot hold either; what is read batch by batch is not read.
        name: what the message calls it.

    Raises:
        ValueError: naming the first such sample.
    """
    row = first_bad_row(x)
    if row is not None:
        raise ValueError(
            f"Inputs must be finite, but {name}[{row}] holds NaN or infinity: mend such samples, "
            f"or leave them out, as in keep = numpy.isfinite({name}.reshape(len({name}), -1))"
            f".all(axis=1). Received: {name} with {_bad_rows(x)} such samples"
        )


def check_finite_weights(*parts: keras.Layer) -> None:
    """Refuses networks with a weight of NaN, or a trainable one of infinity.

    Args:
        *parts: networks or layers; what is not built has no weights yet. A weight that is not
            trainable may be infinite, as the mask of an attention is.

    Raises:
        ValueError: naming the first such weight.
    """
    variables = [variable for part in parts for variable in part.weights]
    fixed = [variable for variable in variables if not variable.trainable]
    bad = first_bad_variable(variables, infinite=fixed)
    if bad is not None:
        places = _bad_values(bad, infinite=not bad.trainable)
        raise ValueError(
            "the network has weights of NaN or infinity, from which nothing can be learnt: take "
            "weights of before they were spoilt, or build it anew. Received: "
            f"{bad.path} with {int(places.sum()):,} such values of {places.size:,}"
        )


def first_bad_variable(
    variables: Iterable[keras.Variable], infinite: Iterable[keras.Variable] = ()
) -> keras.Variable | None:
    """The first variable of real numbers that holds NaN or infinity; None where there is none.

    Args:
        variables: that are looked at.
        infinite: those of them that may be infinite, but not NaN.
    """
    may_be = {id(variable) for variable in infinite}
    real = (v for v in variables if is_real(v))
    return next((v for v in real if _bad_values(v, id(v) in may_be).any()), None)


def is_real(variable: keras.Variable) -> bool:
    """Whether a variable holds real numbers: no seed and no count."""
    return "float" in str(keras.backend.standardize_dtype(variable.dtype))


def _bad_values(variable: keras.Variable, infinite: bool) -> np.ndarray:
    values = np.asarray(ops.convert_to_numpy(variable))
    # NumPy asks of its own types alone whether they are finite. The others are narrower than this.
    if not issubclass(values.dtype.type, np.floating):
        values = values.astype("float32")
    found: np.ndarray = np.isnan(values) if infinite else ~np.isfinite(values)
    return found


def first_bad_row(x: Any) -> int | None:
    """The first sample that holds NaN or infinity; None where there is none."""
    rows = [found[0] for part in _arrays(x) if len(found := _rows(part))]
    return int(min(rows)) if rows else None


def _bad_rows(x: Any) -> int:
    return len({int(row) for part in _arrays(x) for row in _rows(part)})


def _arrays(x: Any) -> list[Any]:
    """The arrays and tensors of real numbers among inputs."""
    if not isinstance(x, dict | list | tuple) and not hasattr(x, "dtype"):
        return []
    return [part for part in keras.tree.flatten(x) if _is_real(part)]


def _is_real(part: Any) -> bool:
    if not (isinstance(part, np.ndarray) or ops.is_tensor(part)) or not len(part.shape):
        return False
    return keras.backend.standardize_dtype(part.dtype).startswith(("float", "bfloat"))


def _rows(part: Any) -> np.ndarray:
    """The samples of one array that hold NaN or infinity."""
    if not isinstance(part, np.ndarray):
        # One number comes back from the device, unless there is something to tell.
        if bool(ops.convert_to_numpy(ops.all(ops.isfinite(part)))):
            return np.empty(0, "int64")
        part = np.asarray(ops.convert_to_numpy(part))
    if part.size == 0:
        return np.empty(0, "int64")
    step = max(1, _PIECE // max(1, part[0].size))
    found = []
    for first in range(0, len(part), step):
        piece = part[first : first + step]
        # The sum is NaN or infinite where a value is: most of the time that is all to be done.
        with np.errstate(over="ignore", invalid="ignore"):
            whole = np.isfinite(np.sum(piece, dtype="float64" if piece.itemsize < 4 else None))
        if not whole:
            bad = ~np.isfinite(piece.reshape(len(piece), -1)).all(axis=1)
            found.append(first + np.flatnonzero(bad))
    return np.concatenate(found) if found else np.empty(0, "int64")
