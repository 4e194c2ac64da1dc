"""From numbers to places on a drawing, and the round numbers beside an axis."""

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """A linear or logarithmic axis.

    Attributes:
        low, high: the numbers at both ends.
        start, end: their places.
        log: whether it is logarithmic; then `low` is positive.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """The place of a number; NaN stays NaN, and on a logarithmic axis 0 becomes it."""
        if self.log and not value > 0:
            return math.nan
        low, high, value = (
            (math.log(v) for v in (self.low, self.high, value))
            if self.log
            else (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round numbers on the axis, about so many."""
        return _decades(self.low, self.high, count) if self.log else _steps(self, count)


def fitted(
    values: Iterable[float],
    start: float,
    end: float,
    *,
    log: bool = False,
    include: Iterable[float] = (),
    margin: float = 0.04,
) -> Scale:
    """A scale that holds all finite values, with some space at both ends.

    Args:
        values: what is drawn; what is not finite (on a logarithmic axis, not positive) is passed
            over.
        start, end: the places of both ends.
        log: logarithmic.
        include: numbers that the axis must hold, too.
        margin: the space, as a share of the range.
    """
    known = [float(v) for v in (*values, *include) if math.isfinite(v) and (v > 0 or not log)]
    low, high = (min(known), max(known)) if known else (1.0, 10.0)
    if log:
        low, high = math.log(low), math.log(high)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-12):
        half = 0.5 if log else max(abs(low) * 0.1, 0.5)
        low, high = low - half, high + half
    space = margin * (high - low)
    low, high = low - space, high + space
    if log:
        low, high = math.exp(low), math.exp(high)
    return Scale(low, high, start, end, log)


def tick_text(value: float) -> str:
    """A number beside an axis: `0.25`, `12k`, `1e-4`."""
    if value < 0:
        return "\N{MINUS SIGN}" + tick_text(-value)
    if value == 0:
        return "0"
    size = value
    if size >= 1e6 or size < 1e-3:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    if size >= 10000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


def _steps(scale: Scale, count: int) -> list[float]:
    width = scale.high - scale.low
    if not width > 0:
        return [scale.low]
    rough = width / max(count, 1)
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(m * decade for m in (1, 2, 2.5, 5, 10) if m * decade >= rough * 0.999)
    first = math.ceil(scale.low / step - 1e-9)
    last = math.floor(scale.high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]


def _decades(low: float, high: float, count: int) -> list[float]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    stride = max(1, math.ceil((last - first) / max(count, 1)))
    for multiples in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        ticks = [
            m * 10.0**e
            for e in range(first, last + 1, stride if multiples == (1,) else 1)
            for m in multiples
            if low * 0.999 <= m * 10.0**e <= high * 1.001
        ]
        if len(ticks) >= 3:
            return ticks
    return ticks
