"""How the benchmarks time: pairs of wall-clock and processor seconds, and their ratios by round.

Contenders take turns, in reverse order every second round, and a contender's ratio is the median
over the rounds of its time over the base's *of the same round*: what disturbs the machine for a
while disturbs both. Processor time is disturbed less by other programs than the clock is.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Times = tuple[float, float]
"""Seconds by the clock and of processor time, of one step."""

T = TypeVar("T")


def arrays(batch: int, classes: int, steps: int, size: int = 32) -> tuple[Any, Any, list[int]]:
    """Images (N, size, size, 3) in 0..255 and labels (N,) of a long-tailed set, and its counts."""
    import numpy as np

    counts = [int(5000 * 100 ** (-c / (classes - 1))) for c in range(classes)]
    rng = np.random.default_rng(0)
    y = labels(counts, batch * steps, rng)
    x = rng.integers(0, 256, (batch * steps, size, size, 3)).astype("uint8")
    return x, y, counts


def labels(counts: Sequence[int], number: int, rng: Any) -> Any:
    """So many labels (N,), drawn by the classes' shares of the counts."""
    import numpy as np

    share = np.array(counts) / sum(counts)
    return rng.choice(len(counts), number, p=share).astype("int32")


def fit_seconds(model: Any, steps: int, *arguments: Any, **options: Any) -> Times:
    """Time of one step, from an epoch of `fit` of that many; the arguments are those of `fit`."""
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(*arguments, epochs=1, verbose=0, **options)
    return (time.perf_counter() - wall) / steps, (time.process_time() - processor) / steps


def seconds(model: Any, x: Any, y: Any, batch: int) -> Times:
    """Time of one step, from a `fit` over arrays."""
    return fit_seconds(model, len(y) // batch, x, y, batch_size=batch, shuffle=False)


def processor_times(who: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of processor time of each, round by round, after two that are not counted."""
    times: dict[str, list[float]] = {name: [] for name in who}
    for number in range(rounds + 2):
        for name in in_turn(list(who), number):
            start = time.process_time()
            who[name]()
            if number > 1:  # the first ones compile, and find their memory
                times[name].append(1000 * (time.process_time() - start))
    return times


def in_turn(contenders: Sequence[T], number: int) -> Sequence[T]:
    """Their order in round `number`."""
    return contenders if number % 2 == 0 else contenders[::-1]


def summary(own: Sequence[Times], base: Sequence[Times]) -> dict[str, float]:
    """Medians over the rounds; ratios are of the same round."""
    wall = [mine[0] / its[0] for mine, its in zip(own, base, strict=False)]
    processor = [mine[1] / its[1] for mine, its in zip(own, base, strict=False)]
    return {
        "ms_per_step": round(1000 * statistics.median(t[0] for t in own), 2),
        **spread("ratio", wall),
        "cpu_ms_per_step": round(1000 * statistics.median(t[1] for t in own), 2),
        **spread("cpu_ratio", processor),
        "rounds": len(own),
    }


def spread(name: str, values: Sequence[float]) -> dict[str, float]:
    """The median of the rounds under `name`, and their range under `<name>_min` and `_max`."""
    return {
        name: round(statistics.median(values), 4),
        f"{name}_min": round(min(values), 4),
        f"{name}_max": round(max(values), 4),
    }
