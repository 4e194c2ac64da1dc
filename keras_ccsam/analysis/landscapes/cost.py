"""How long a landscape takes: by one point before it starts, by all that are done after that."""

import dataclasses
import time


@dataclasses.dataclass(frozen=True)
class Standing:
    """Where a landscape stands.

    Attributes:
        done: points that are known, those of an earlier call among them.
        total: all of them.
        seconds_left: at the pace so far; of the first report, by one point that was timed alone.
        samples: of one point.
    """

    done: int
    total: int
    seconds_left: float
    samples: int


class Clock:
    """The pace of a landscape.

    Args:
        total: points.
        done: points of an earlier call.
        samples: of one point.
    """

    def __init__(self, total: int, done: int, samples: int) -> None:
        self._total = total
        self._done = done
        self._samples = samples
        self._pace = 0.0
        self._timed = 0
        self._began = time.perf_counter()

    @property
    def pace(self) -> float:
        """Seconds per point."""
        return self._pace

    def estimate(self, seconds: float) -> Standing:
        """One point, the programs compiled before, took so long."""
        self._pace = seconds
        self._began = time.perf_counter()
        return self._standing()

    def advance(self, points: int) -> Standing:
        """So many more are done."""
        self._done += points
        self._timed += points
        self._pace = (time.perf_counter() - self._began) / self._timed
        return self._standing()

    def _standing(self) -> Standing:
        left = (self._total - self._done) * self._pace
        return Standing(self._done, self._total, left, self._samples)
