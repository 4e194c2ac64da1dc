"""Two processes, of two revisions, that take turns."""

import dataclasses
import math
import os
import random
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from benchmarks.asked import Asked
from benchmarks.side_by_side import judgement
from benchmarks.side_by_side.judgement import Estimate
from benchmarks.versus.processes import environment

WORKER = Path(__file__).with_name("worker.py")
TURN, TURNS = 0.03, 3
"""Seconds of one turn at least, and turns of each process in one round."""


class NewRow(Exception):
    """The revision before cannot do this work; the message is its error."""


class RowFailed(Exception):
    """The package as it is now cannot do this work; the message is its error."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """What one measurement of a row found."""

    processor: Estimate | None
    clock: Estimate
    verdict: str
    rounds: int

    def __str__(self) -> str:
        both = f"{self.clock} by the clock"
        both = both if self.processor is None else f"{self.processor}, {both}"
        return f"{both}, {self.rounds} rounds"


class Pair:
    """The processes of one backend, for some rows one after the other.

    Args:
        before: the folder with the package of a revision.
        now: the folder with the package as it is now.
        backend: Keras' backend.
        plant: by what share the work of now is made longer, to see that it is found.
    """

    def __init__(self, before: Path, now: Path, backend: str, plant: float = 0.0) -> None:
        self._folders = {"before": [str(before)], "now": [str(now), str(plant)]}
        self._backend, self._cores = backend, _cores()

    def __enter__(self) -> "Pair":
        with ExitStack() as stack:
            values = environment(f"keras-{self._backend}", 1) | {"PYTHONHASHSEED": "0"}
            self._workers = {
                name: stack.enter_context(
                    Asked(f"{self._backend}, {name}", [sys.executable, str(WORKER), *told], values)
                )
                for name, told in self._folders.items()
            }
            self.device = [worker.hear()["device"] for worker in self._workers.values()][-1]
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, exception, traceback)

    def compare(self, name: str, lines: tuple[float, float], most: int) -> Measured:
        """Rounds of one row until it is clear, or so many.

        Raises:
            NewRow: only the package as it is now can do the work.
            RowFailed: the package as it is now cannot.
        """
        clocks: list[float] = []
        processors: list[float] = []
        for clock, processor in self.rounds(name):
            clocks.append(clock)
            processors.append(processor)
            up = len(clocks) >= most
            by_clock = judgement.estimate(clocks)
            by_processor = judgement.estimate(processors) if self.device == "cpu" else None
            found = judgement.verdict(by_processor, by_clock, lines, up)
            if up or found != judgement.UNDECIDED:
                break
        return Measured(by_processor, by_clock, found, len(clocks))

    def rounds(self, name: str) -> Iterator[tuple[float, float]]:
        """Without end, now over before in one round: by the clock, and in processor time."""
        units = self._prepared(name)
        while True:
            core = random.choice(self._cores) if self._cores else None
            took: dict[str, list[tuple[float, float]]] = {who: [] for who in self._workers}
            for _ in range(TURNS):
                for who in random.sample(list(took), 2):
                    took[who].append(self._turn(who, units, core))
            least = {who: list(map(min, zip(*turns, strict=True))) for who, turns in took.items()}
            clock, processor = zip(least["before"], least["now"], strict=True)
            yield clock[1] / clock[0], processor[1] / processor[0]

    def _prepared(self, name: str) -> int:
        """Has both make the work at the same time; how many units fill a turn."""
        for worker in self._workers.values():
            worker.tell(make=name)
        answers = {who: worker.hear() for who, worker in self._workers.items()}
        if "error" in answers["now"]:
            raise RowFailed(answers["now"]["error"])
        if "error" in answers["before"]:
            raise NewRow(answers["before"]["error"])
        units = 1
        while (took := min(self._turn("before", units, None))) < TURN:
            units *= min(8, max(2, math.ceil(TURN / max(took, 1e-3))))
        self._turn("now", units, None)
        return units

    def _turn(self, who: str, units: int, core: int | None) -> tuple[float, float]:
        """Seconds by the clock and of processor time."""
        answer = self._workers[who].ask(turn=units, core=core)
        if "error" in answer:
            raise RowFailed(f"{who}: {answer['error']}")
        return answer["seconds"], answer["processor_seconds"]


def _cores() -> list[int]:
    """Those that a process may be kept to, all of its threads; none where a system cannot."""
    if not hasattr(os, "sched_setaffinity") or not os.path.isdir("/proc/self/task"):
        return []
    return sorted(os.sched_getaffinity(0))
