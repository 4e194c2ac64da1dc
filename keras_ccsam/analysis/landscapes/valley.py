"""Numbers beside the picture: how far one can walk from the model, and how lopsided its valley is.

Both look along straight lines through the model: each direction of a 1-D landscape; of a plane its
two axes and two diagonals. With t >= 0 the distance from the model in units of the weights' norm,
and L+ and L- the loss on the two sides of a line:

    reach       the least t at which L(t) >= 2 L(0), on each side by itself; between two points of
                the grid the loss is taken to be straight
    asymmetry   |R+ - R-| / (|R+| + |R-|),   R = mean over 0 < t <= T of L(t) - L(0),
                T being the span of the line

The asymmetry is 0 where the loss rises alike on both sides and 1 where it rises on one side alone.
He et al. call a direction asymmetric where the slope on one side is a multiple of that on the
other; the ratio of the two mean rises is (1 + a) / (1 - a) for an asymmetry a below 1.

References:
    He, Huang and Yuan, Asymmetric Valleys: Beyond Sharp and Flat Local Minima, NeurIPS 2019
    (definition 1).
    Zhou et al., Class-Conditional Sharpness-Aware Minimization for Deep Long-Tailed Recognition,
    CVPR 2023 (appendix E).
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True, eq=False)
class Line:
    """The loss along a line through the model.

    Attributes:
        distance: (P,) in units of the weights' norm, negative on one side, 0 at the model.
        loss: (P,) there.
    """

    distance: np.ndarray
    loss: np.ndarray

    def sides(self) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
        """Distances and losses from the model outwards, on both sides."""
        middle = len(self.distance) // 2
        back = slice(middle, None, -1)
        return (
            (self.distance[middle:], self.loss[middle:]),
            (-self.distance[back], self.loss[back]),
        )


@dataclasses.dataclass(frozen=True)
class Reach:
    """How far one can walk until the loss has grown to so many times what it is at the model.

    Attributes:
        mean, min, max: over all rays, in units of the weights' norm. A ray that ends before counts
            with its length, so `mean` and `max` are at least this where `open` is above 0.
        rays: how many.
        open: how many of them end before the loss is that large.
    """

    mean: float
    min: float
    max: float
    rays: int
    open: int

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON types."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Spread:
    """A number of each line.

    Attributes:
        mean, min, max: over the lines.
        lines: how many.
    """

    mean: float
    min: float
    max: float
    lines: int

    def to_dict(self) -> dict[str, Any]:
        """The same as JSON types."""
        return dataclasses.asdict(self)


def lines_of(loss: np.ndarray, steps: tuple[np.ndarray, ...], gram: np.ndarray) -> list[Line]:
    """The lines through the model: (D, P) of a 1-D landscape, or of a plane (P, P) four of them."""
    if len(steps) == 1:
        return [
            Line(steps[0] * np.sqrt(gram[number, number]), values)
            for number, values in enumerate(loss)
        ]
    first, second = steps
    middle = loss.shape[0] // 2
    diagonal = np.arange(len(first))
    zeros = np.zeros_like(first)
    found = [
        (first, zeros, loss[:, middle]),
        (zeros, second, loss[middle, :]),
        (first, second, loss[diagonal, diagonal]),
        (first, second[::-1], loss[diagonal, diagonal[::-1]]),
    ]
    lines = []
    for a, b, values in found:
        square = a * a * gram[0, 0] + 2 * a * b * gram[0, 1] + b * b * gram[1, 1]
        sign = np.sign(np.arange(len(a)) - len(a) // 2)
        lines.append(Line(sign * np.sqrt(np.maximum(square, 0.0)), values))
    return lines


def reach(lines: Sequence[Line], factor: float) -> Reach:
    """How far one can walk until the loss is `factor` times that at the model."""
    found, unfinished = [], 0
    for line in lines:
        for distance, loss in line.sides():
            walked = _crossing(distance, loss, factor * loss[0])
            unfinished += walked is None
            found.append(float(distance[-1]) if walked is None else walked)
    mean, least, most = _summary(found)
    return Reach(mean, least, most, len(found), unfinished)


def asymmetry(lines: Sequence[Line]) -> Spread:
    """How unlike the two sides of each line are."""
    values = []
    for line in lines:
        one, other = (_mean_rise(*side) for side in line.sides())
        both = abs(one) + abs(other)
        if np.isinf(both):
            values.append(float(not (np.isinf(one) and np.isinf(other))))
        else:
            values.append(abs(one - other) / both if both else 0.0)
    return Spread(*_summary(values), len(values))


def _crossing(distance: np.ndarray, loss: np.ndarray, target: float) -> float | None:
    """The first distance at which the loss is the target; None if it stays below."""
    # A network so far away that its loss is no number has lost its way.
    loss = np.where(np.isnan(loss), np.inf, loss)
    above = np.flatnonzero(loss[1:] >= target)
    if not len(above):
        return None
    at = int(above[0])
    low, high = loss[at], loss[at + 1]
    share = 0.0 if np.isinf(high) or high == low else (target - low) / (high - low)
    return float(distance[at] + share * (distance[at + 1] - distance[at]))


def _mean_rise(distance: np.ndarray, loss: np.ndarray) -> float:
    rise = np.where(np.isnan(loss), np.inf, loss) - loss[0]
    if not np.isfinite(rise).all():
        return float("inf")
    area = np.sum((rise[1:] + rise[:-1]) / 2 * np.diff(distance))
    return float(area / distance[-1]) if distance[-1] else 0.0


def _summary(values: Sequence[float]) -> tuple[float, float, float]:
    return float(np.mean(values)), float(np.min(values)), float(np.max(values))
