"""How far apart the classes lie in a network's features: a unit of length there.

    gap = mean_c min_{d != c} ||mu_c - mu_d||,    mu_c the mean feature of class c

A length of 1 is short where the classes' means lie 3 apart, and carries a feature past the next
class where they lie 0.4 apart. Neither a shift nor an orthogonal map of the features changes the
gap, and it grows as they do. All classes count the same, however few images they have.
"""

from typing import Annotated, Literal, TypeAlias

import numpy as np
from pydantic import Field

from keras_ccsam.finite import check_finite

_ROWS = 256

StrengthUnit: TypeAlias = Annotated[
    Literal["length", "class_gap"],
    Field(
        description="what strength is a multiple of: 1 (code), or how far apart the classes' mean "
        "features lie (ours)",
    ),
]


def class_gap(features: np.ndarray, labels: np.ndarray) -> float:
    """The mean distance from a class's mean feature to the nearest other one.

    Args:
        features: (N, D).
        labels: (N,) integers; classes without an image do not count.

    Raises:
        ValueError: for fewer than two classes, features that hold NaN or infinity, or mean features
            that are all equal.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise ValueError(
            "a gap lies between two classes at least. "
            f"Received: labels of {len(present)} class{'es' * (len(present) != 1)}"
        )
    check_finite(features, "features")
    means = np.stack([features[labels == c].mean(axis=0, dtype="float64") for c in present])
    gap = float(np.mean(np.linalg.norm(means - means[_nearest(means)], axis=1)))
    if gap == 0.0:
        raise ValueError(
            f"the mean features of all {len(present)} classes must not be equal: a gap of 0 is no "
            "unit of length. Has the network been trained?"
        )
    return gap


def _nearest(points: np.ndarray) -> np.ndarray:
    """(C,) the place of the point that lies nearest to each of (C, D), itself left out.

    By products of matrices, some rows at a time: with 8142 classes that takes seconds.
    """
    centred = points - points.mean(axis=0)
    squares = np.sum(centred**2, axis=1)
    found = []
    for start in range(0, len(points), _ROWS):
        apart = squares - 2.0 * centred[start : start + _ROWS] @ centred.T
        own = np.arange(len(apart))
        apart[own, start + own] = np.inf
        found.append(apart.argmin(axis=1))
    return np.concatenate(found)
