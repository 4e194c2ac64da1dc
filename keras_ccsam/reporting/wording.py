"""Means with their spread, as cells and in words: never a mean without the number of seeds."""

import math
import statistics
from collections.abc import Iterable, Sequence

from keras_ccsam.analysis.report.blocks import Cell, Key
from keras_ccsam.analysis.report.svg import series_class
from keras_ccsam.reporting.found_runs import Method, Runs

NONE = "\N{EN DASH}"
"""What a cell without a number says."""

MINUS = "\N{MINUS SIGN}"


def known(values: Iterable[float | None]) -> list[float]:
    """The numbers among them."""
    return [v for v in values if v is not None and math.isfinite(v)]


def mean(values: Sequence[float | None]) -> float | None:
    """The mean over all seeds; None where one has no number."""
    numbers = known(values)
    return statistics.fmean(numbers) if numbers and len(numbers) == len(values) else None


def spread(values: Sequence[float | None]) -> float | None:
    """The standard deviation of the sample; None of fewer than two seeds."""
    numbers = known(values)
    whole = len(numbers) > 1 and len(numbers) == len(values)
    return statistics.stdev(numbers) if whole else None


def cell(
    values: Sequence[float | None], scale: float = 1.0, digits: int = 2, *, best: bool = False
) -> Cell:
    """`88.67 ± 0.95`; a dash where a seed has no number."""
    centre, around = mean(values), spread(values)
    if centre is None:
        return Cell(NONE, value="nan")
    beside = "" if around is None else f"± {scale * around:.{digits}f}"
    text = f"{scale * centre:.{digits}f}".replace("-", MINUS)
    return Cell(text, scale * centre, beside, best)


def best_of(columns: Sequence[Sequence[float | None]], lowest: bool = False) -> list[bool]:
    """Which of several methods has the best mean; none where all are alike."""
    means = [mean(values) for values in columns]
    numbers = known(means)
    if len(set(numbers)) < 2:
        return [False] * len(means)
    top = min(numbers) if lowest else max(numbers)
    return [m is not None and m == top for m in means]


def verdict(one: Sequence[float | None], other: Sequence[float | None]) -> tuple[float, str] | None:
    """The difference of two means, and what to think of it.

    It is "within the spread" where it is no larger than the root of the sum of both variances over
    seeds: by so much two single runs of the two methods differ anyhow.

    Returns:
        The difference, and "one seed", "within the spread", "larger than the spread" or "none";
        None where a number is missing.
    """
    a, b = mean(one), mean(other)
    if a is None or b is None:
        return None
    spreads = spread(one), spread(other)
    if abs(a - b) < 1e-12:
        return 0.0, "none"
    if spreads[0] is None or spreads[1] is None:
        return a - b, "one seed"
    return a - b, (
        "within the spread"
        if abs(a - b) <= math.hypot(spreads[0], spreads[1])
        else "larger than the spread"
    )


def seeds_text(runs: Runs) -> str:
    """`3 seeds (0, 1, 2)`, `one seed (0)`, or both numbers where methods differ."""
    sets = list(dict.fromkeys(method.seeds for method in runs.methods))
    if len(sets) > 1:
        fewest, most = min(map(len, sets)), max(map(len, sets))
        return f"{fewest} to {most} seeds" if fewest < most else f"{most} different seeds each"
    shown = ", ".join(map(str, sets[0]))
    return f"one seed ({shown})" if len(sets[0]) == 1 else f"{len(sets[0])} seeds ({shown})"


def over_seeds(runs: Runs) -> str:
    """How a mean over seeds is to be read, for a caption."""
    most = max(len(method.runs) for method in runs.methods)
    if most == 1:
        return f"From {seeds_text(runs)}, so without a spread."
    return f"Mean ± standard deviation over {seeds_text(runs)}."


def legend(methods: Sequence[Method]) -> list[Key]:
    """Every method with its colour."""
    return [Key(method.name, series_class(index)) for index, method in enumerate(methods)]


def plural(count: int, word: str, several: str | None = None) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{count} {word if count == 1 else several or word + 's'}"
