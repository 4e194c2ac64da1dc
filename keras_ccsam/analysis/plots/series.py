"""The numbers of an epoch history, in a row."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

History: TypeAlias = Mapping[str, Sequence[float]] | Sequence[Mapping[str, Any]]


def epoch_series(history: History) -> tuple[np.ndarray, dict[str, np.ndarray], list[float]]:
    """Lays an epoch history out along one axis.

    Args:
        history: A Keras history, or one record per epoch with its `epoch` and `stage`.

    Returns:
        The place of each epoch (counted on where epochs start again), the numbers by name (NaN
        where a record has none; names without any number are left out), and the places at which
        another stage begins.
    """
    if isinstance(history, Mapping):
        length = max((len(values) for values in history.values()), default=0)
        records: list[Mapping[str, Any]] = [
            {"epoch": i + 1} | {k: v[i] for k, v in history.items() if k != "epoch" and i < len(v)}
            for i in range(length)
        ]
    else:
        records = list(history)
    epochs: list[float] = []
    starts: list[float] = []
    shift = 0.0
    for index, record in enumerate(records):
        epoch = float(record.get("epoch", index + 1)) + shift
        if epochs and epoch <= epochs[-1]:
            shift += epochs[-1] + 1 - epoch
            epoch = epochs[-1] + 1
        if index and record.get("stage") != records[index - 1].get("stage"):
            starts.append(epoch - 0.5)
        epochs.append(epoch)
    names = dict.fromkeys(key for record in records for key in record)
    series = {
        name: np.array([_number(record.get(name)) for record in records])
        for name in names
        if name not in ("epoch", "stage")
    }
    known = {name: values for name, values in series.items() if np.isfinite(values).any()}
    return np.array(epochs), known, starts


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float, np.number)) else math.nan
