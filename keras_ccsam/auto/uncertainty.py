"""How far a balanced accuracy, and a difference of two, can be trusted.

Balanced accuracy is the mean over the K classes of the classes' accuracies, so a class of one
validation image weighs as much as one of a thousand, and most of the noise is the rare classes'.

standard error   sqrt(sum_c p_c (1 - p_c) / n_c) / K, with p_c = (right + 1/2) / (n_c + 1), so
                 that a class whose only image is right does not count as known.
paired difference of two models on the same images, d_i = right_a - right_b in -1..1. If both are as
                 good, the sign of every d_i is a coin's (McNemar's test, weighted by class):
                 the difference then spreads by sqrt(sum_c sum_i d_i^2 / n_c^2) / K.
several models   the best of many that are equally good is ahead of the worst by more than the best
                 of two. What is called noise grows with their number, as Tukey's range test has it.
"""

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

NOISE = 2.0
"""Standard errors below which a difference of two is called noise: one chance in twenty, about."""

Right = NDArray[np.float64]
"""Per image (N,): 1 where the model is right, 0 where not; between them as a mean over seeds."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A balanced accuracy.

    Attributes:
        balanced: a fraction in 0..1.
        error: its standard error over the images.
    """

    balanced: float
    error: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Difference:
    """How much better one model is than another on the same images.

    Attributes:
        balanced: difference of the balanced accuracies, a fraction in -1..1.
        error: its standard error.
        disagree: images that one has right and the other wrong (with several seeds, in part).
        among: models that were compared with each other, these two among them.
    """

    balanced: float
    error: float
    disagree: float
    among: int = 2

    @property
    def within_noise(self) -> bool:
        """Whether the images do not tell the two apart."""
        return abs(self.balanced) <= noise(self.among) * self.error or self.balanced == 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {**dataclasses.asdict(self), "within_noise": self.within_noise}


def estimate(rights: Sequence[Right], labels: NDArray[Any]) -> Estimate:
    """Return the balanced accuracy of a recipe.

    Args:
        rights: one (N,) per seed.
        labels: (N,) integers; a class without images enters no mean.

    Returns:
        The mean over the seeds. Where there are several, their spread joins the standard error.
    """
    mean = np.mean(rights, axis=0)
    variances = []
    for rows in _by_class(labels):
        share = (mean[rows].sum() + 0.5) / (len(rows) + 1.0)
        variances.append(share * (1.0 - share) / len(rows))
    variance = sum(variances) / len(variances) ** 2
    values = [_balanced(right, labels) for right in rights]
    return Estimate(statistics.fmean(values), float((variance + _over_seeds(values)) ** 0.5))


def difference(
    rights: Sequence[Right], others: Sequence[Right], labels: NDArray[Any], among: int = 2
) -> Difference:
    """Return how much better `rights` are than `others`, image by image.

    Args:
        rights: one (N,) per seed.
        others: of the other model, with the same seeds.
        labels: (N,) integers.
        among: models that were compared with each other, the best of which was looked for.
    """
    each = [right - other for right, other in zip(rights, others, strict=True)]
    mean = np.mean(each, axis=0)
    classes = _by_class(labels)
    variance = sum(float((mean[rows] ** 2).sum()) / len(rows) ** 2 for rows in classes)
    values = [_balanced(one, labels) for one in each]
    error = (variance / len(classes) ** 2 + _over_seeds(values)) ** 0.5
    return Difference(statistics.fmean(values), float(error), float(np.abs(mean).sum()), among)


@functools.cache
def noise(among: int) -> float:
    """Return the standard errors below which a difference is called noise.

    Of equally good models, about once in twenty times the best and the worst are further apart.

    Args:
        among: models that were compared, at least 2, for which it is `NOISE`.
    """
    if among <= 2:
        return NOISE
    from scipy.stats import studentized_range

    sure = math.erf(NOISE / math.sqrt(2.0))
    return float(studentized_range.ppf(sure, among, math.inf) / math.sqrt(2.0))


def _over_seeds(values: Sequence[float]) -> float:
    """Variance of the mean over the seeds; 0 of one seed, which says nothing of it."""
    return statistics.variance(values) / len(values) if len(values) > 1 else 0.0


def _balanced(values: Right, labels: NDArray[Any]) -> float:
    return statistics.fmean(float(values[rows].mean()) for rows in _by_class(labels))


def _by_class(labels: NDArray[Any]) -> list[NDArray[np.int64]]:
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
