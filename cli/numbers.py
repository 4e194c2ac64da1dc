"""Numbers within a range, as types of options: what is outside is refused before Keras starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click


class Number(click.ParamType):  # type: ignore[type-arg]
    """A finite number of which something holds.

    Args:
        said: what it must be, in words.
        holds: whether a finite number is one.
        whole: whether it is a whole number.
    """

    name = "number"

    def __init__(self, said: str, holds: Callable[[float], bool], whole: bool = False) -> None:
        self.said, self.holds, self.whole = said, holds, whole

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float | int:
        """Read one; what else is typed is refused."""
        try:
            number = int(value) if self.whole else float(value)
            holds = math.isfinite(number) and self.holds(number)
        except (ValueError, OverflowError):  # too many digits for Python, or for a float
            holds = False
        if not holds:
            self.fail(f"it must be {self.said}. Received: {value}", param, ctx)
        return number


ABOVE_0 = Number("a number above 0", lambda number: number > 0)
AT_LEAST_0 = Number("a number of at least 0", lambda number: number >= 0)
PROBABILITY = Number("a probability between 0 and 1", lambda number: 0 < number < 1)
WHOLE = Number("a whole number from 0 on", lambda number: number >= 0, whole=True)
ODD = Number(
    "an odd whole number of at least 3: the middle is the model",
    lambda number: number >= 3 and number % 2 == 1,
    whole=True,
)
