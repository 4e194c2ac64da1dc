"""The points of a landscape, and the samples it is taken over."""

from typing import Any

import keras
import numpy as np

from keras_ccsam.checks import require
from keras_ccsam.data.images.store import taken

SPAN = 1 / 3
"""The paper's: "the maximum distance is set as the 1/3 norm of trained weights"."""


def spans(span: float | None, path: np.ndarray | None, dimensions: int) -> list[float]:
    """The largest step along each axis, in units of the weights' norm.

    Args:
        span: what was asked for; None takes `SPAN`, or what holds a path.
        path: (E, D) where a training came along, or None.
        dimensions: how many axes.
    """
    if span is None and path is not None:
        # A tenth more than what holds the path, and never nothing.
        widest = np.max(np.abs(path), axis=0)
        return [1.1 * max(float(value), 1e-3) for value in widest[:dimensions]]
    return [SPAN if span is None else span] * dimensions


def steps_of(points: int, span: float) -> np.ndarray:
    """(P,) steps from -span to span, the middle one exactly 0.

    Args:
        points: P, odd and at least 3, so that the model itself is a point.
        span: of the largest step, in units of the weights' norm; above 0.

    Raises:
        ValueError: either is outside its range.
    """
    odd = isinstance(points, int) and points >= 3 and points % 2 == 1
    require(odd, "points", points, "an odd whole number of at least 3: the middle is the model")
    require(0.0 < span < np.inf, "span", span, "a number above 0")
    half = points // 2
    return span * np.arange(-half, half + 1) / half


def coordinates(steps: tuple[np.ndarray, ...], lines: int) -> np.ndarray:
    """(..., D) coordinates along the directions: (P, P, 2) of a plane, (D, P, D) of D lines."""
    if len(steps) == 2:
        return np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1)
    return np.eye(lines)[:, None, :] * steps[0][None, :, None]


def centre(shape: tuple[int, ...]) -> tuple[int, int]:
    """The middle of a grid: the model. (Of lines, the middle of one; each has it.)"""
    return shape[0] // 2, shape[1] // 2


def some_of_each_class(labels: np.ndarray, limit: int | None, seed: int = 0) -> np.ndarray | None:
    """The indices of about `limit` samples, as many of each class as is its share, at least one.

    Args:
        labels: (N,) classes.
        limit: how many; None, or one of at least N, keeps all of them.
        seed: of the choice.

    Returns:
        Ascending indices; None where all samples are kept.

    Raises:
        ValueError: `limit` is below 1.
    """
    if limit is None:
        return None
    require(limit >= 1, "limit", limit, "at least 1")
    if limit >= len(labels):
        return None
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        kept = min(len(own), max(1, round(limit * len(own) / len(labels))))
        chosen.append(rng.choice(own, kept, replace=False))
    return np.sort(np.concatenate(chosen))


def rows(x: Any, index: np.ndarray | None) -> Any:
    """The samples of these indices, of an array or a structure of arrays; all for None."""
    if index is None:
        return x
    return keras.tree.map_structure(lambda values: taken(values, index), x)
