"""All variables of a model in training, as arrays on the host and back."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

_NUMBER = re.compile(r"_\d+")
GROUPS = ("trainable", "others", "optimizer", "metrics")
"""Of variables: what is trained, what else the model holds, and what the optimizer and the metrics
of the epoch do."""


def captured(model: keras.Model) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Copies of a model's variables, and what tells whether another model's are alike.

    Weights, BatchNorm's statistics, seeds and what the method and the step's parts hold; momentum,
    schedule, loss scale, averages and accumulated gradients of the optimizer; the epoch's metrics.

    Args:
        model: compiled and built, between two steps.

    Returns:
        The arrays by name; for each group of variables a list of names, shapes and dtypes.
    """
    arrays, facts = {}, {}
    for group, variables in _grouped(model).items():
        facts[group] = _described(variables)
        for place, variable in enumerate(variables):
            # A copy: what a backend gives may be its own memory, which the next step writes into.
            arrays[f"{group}/{place}"] = np.array(keras.ops.convert_to_numpy(variable))
    return arrays, facts


def metrics(model: keras.Model) -> dict[str, np.ndarray]:
    """Copies of the variables of the metrics alone."""
    return {
        f"metrics/{place}": np.array(keras.ops.convert_to_numpy(variable))
        for place, variable in enumerate(model.metrics_variables)
    }


def put_back(
    model: keras.Model,
    arrays: Mapping[str, np.ndarray],
    facts: Mapping[str, Any],
    groups: Sequence[str] = GROUPS,
) -> None:
    """Assign a model what was captured of one like it.

    Metrics of which nothing exists yet are left out: they are zero until the first step.

    Raises:
        ValueError: the model is another one. Nothing has been assigned.
    """
    found = {group: own for group, own in _grouped(model).items() if group in groups}
    if not metrics_are_built(model):
        found.pop("metrics", None)
    for group, variables in found.items():
        _check(group, facts[group], _described(variables))
    for group, variables in found.items():
        for place, variable in enumerate(variables):
            # JAX takes the memory of a NumPy array as it is. Its step would then write into it, and
            # go on to when it belongs to others: the variable gets memory of its own.
            own = keras.ops.copy(keras.ops.convert_to_tensor(np.array(arrays[f"{group}/{place}"])))
            variable.assign(own)


def metrics_are_built(model: keras.Model) -> bool:
    """Whether all variables of the metrics are there; some backends make them in the first step."""
    return all(getattr(metric, "built", True) for metric in model.metrics)


def _grouped(model: keras.Model) -> dict[str, Sequence[keras.Variable]]:
    optimizer = model.optimizer
    found = (
        model.trainable_variables,
        model.non_trainable_variables,
        [] if optimizer is None else optimizer.variables,
        model.metrics_variables,
    )
    return dict(zip(GROUPS, found, strict=True))


def _described(variables: Sequence[keras.Variable]) -> list[list[Any]]:
    # Without numbers: the layers of a second model in one process get others.
    return [
        [
            _NUMBER.sub("", v.path.rpartition("/")[2]),
            list(v.shape),
            keras.backend.standardize_dtype(v.dtype),
        ]
        for v in variables
    ]


def _check(group: str, saved: list[Any], now: list[Any]) -> None:
    if saved == now:
        return
    if len(saved) != len(now):
        what = f"{len(saved)} variables of the group {group!r}, and this one {len(now)}"
    else:
        one, other = next((a, b) for a, b in zip(saved, now, strict=True) if a != b)
        what = f"a variable {_said(one)} where this one has {_said(other)}"
    raise ValueError(
        f"the state is of another model: that one has {what}. Build and compile it as it was, or "
        f"name another folder. Received: {group}={len(now)} variables"
    )


def _said(variable: list[Any]) -> str:
    name, shape, dtype = variable
    return f"{name} {tuple(shape)} of {dtype}"
