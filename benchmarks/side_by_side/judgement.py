"""When a row has got slower.

In every round both revisions do the same work three times in turn, on one core; which of them is
first is drawn by lot. The least of the three counts, since all else that the machine does adds to
it. What is judged is the median of the rounds' ratios: the time now over that before.

**Two lines.** A growth by `tolerance` is to be found, and no growth is to be let pass. The lines
lie a quarter of the way from either: at 1.024 and 1.074 for 10 %. A row is slower as soon as the
median surely lies above the lower line, and not slower as soon as it surely lies below the upper
one, whichever comes first.

**Surely.** If the median lay on a line or below, each round would lie above it with a chance of a
half at most, like a toss of a coin, however the times are distributed. A gambler who begins with 1
and each time bets a share of his money on "above" then ever reaches 1 / ALPHA with a chance of at
most ALPHA, *however long he plays* (Ville's inequality). So the question may be put after each
round, and the measurement ends when the answer is clear. His money depends on nothing but how many
rounds lay above. So the medians that are not refuted lie between two of the sorted ratios: the
interval that is printed. It takes 13 rounds at least.

**Two measures.** Processor time is disturbed less by other programs than the clock; waiting shows
by the clock alone. Each may find a row slower. For "not slower" processor time must say so; where
the clock's median lies above the lower line, rounds go on until the clock has decided, too, or
there are no more. On a GPU the clock alone is asked.

**Two processes of one code are not equally fast**: their memory lies otherwise. The lines leave
room for 2.4 % of that, and what is slower is measured again in new processes. A row is called
slower when both measurements say so. One that is not clear after all rounds is undecided.

**Errors.** A row whose code did not change is called slower in one check with a chance of at most
(2 ALPHA)^2 = 0.000004, as long as two processes of one code differ by less than 2.4 %: with 30 rows
and three checks in a row 0.0004 in all. A row that is slower by the tolerance is passed with a
chance of at most 2 ALPHA = 0.002, as long as they differ by less than that in its favour. Where
processes differ by more, the nearer answer still comes first in most cases.
"""

import dataclasses
import functools
import math
import statistics
from collections.abc import Sequence

ALPHA = 0.001
"""Chance of an error of one decision by one measure."""

SLOWER, NOT_SLOWER, UNDECIDED = "slower", "not slower", "undecided"
NEW, FAILED = "new", "failed"  # not measured
KINDS = (SLOWER, NOT_SLOWER, UNDECIDED, NEW, FAILED)

_BETS = (0.3, 0.6, 0.9)  # shares of his money, on each a third of it


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A median, and the interval that it surely lies in."""

    ratio: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.ratio:.3f} ({self.low:.3f} to {self.high:.3f})"


def lines(tolerance: float) -> tuple[float, float]:
    """The lower one and the upper one."""
    return (1 + tolerance) ** 0.25, (1 + tolerance) ** 0.75


@functools.cache
def least_above(rounds: int, alpha: float = ALPHA) -> int | None:
    """How many of so many rounds must lie above a value to refute that the median is not above it.

    None: so few rounds refute nothing.
    """
    for above in range(rounds // 2, rounds + 1):
        money = [(1 + bet) ** above * (1 - bet) ** (rounds - above) for bet in _BETS]
        if statistics.fmean(money) >= 1 / alpha:
            return above
    return None


def estimate(ratios: Sequence[float], alpha: float = ALPHA) -> Estimate:
    """The median of the rounds so far and its interval, infinite after few."""
    least = least_above(len(ratios), alpha)
    ordered = sorted(ratios)
    if least is None:
        return Estimate(statistics.median(ordered), 0.0, math.inf)
    return Estimate(statistics.median(ordered), ordered[len(ordered) - least], ordered[least - 1])


def verdict(
    processor: Estimate | None, clock: Estimate, lines: tuple[float, float], last: bool = False
) -> str:
    """Of one measurement.

    Args:
        processor: None on a GPU, where it says nothing.
        clock: the other measure.
        lines: a row is slower above the lower one, and is not below the upper one.
        last: whether there will be no other round.
    """
    lower, upper = lines
    if clock.low > lower or (processor is not None and processor.low > lower):
        return SLOWER
    if processor is None:
        return NOT_SLOWER if clock.high < upper else UNDECIDED
    if processor.high < upper and (last or clock.ratio <= lower or clock.high < upper):
        return NOT_SLOWER
    return UNDECIDED


def settled(verdicts: Sequence[str]) -> str | None:
    """What one measurement or two say together; None: there must be another one."""
    return None if list(verdicts) in ([], [SLOWER]) else verdicts[-1]
