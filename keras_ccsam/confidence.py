"""How well a few values tell their mean."""

import math
import statistics
from collections.abc import Sequence


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """The interval of the mean of independent values, by Student's t.

    Endless for fewer than two values, and where one is not finite.

    Args:
        values: one per seed, of any unit.
        confidence: how often such an interval holds the mean, between 0 and 1.
    """
    if len(values) < 2 or not all(map(math.isfinite, values)):
        return -math.inf, math.inf
    from scipy import stats  # takes a second to import

    mean, spread = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    quantile = float(stats.t.ppf(0.5 + confidence / 2, len(values) - 1))
    return mean - quantile * spread, mean + quantile * spread
