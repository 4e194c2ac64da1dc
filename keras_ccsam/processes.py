"""What the processes that train one model do together, outside its steps.

All of them carry out the same program. Process 0 alone writes files that a user has named, and
prints. What follows here must be called by every process, at the same place of the program; with
one process each is what its words say, at no cost.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from keras_ccsam import backend, stopping
from keras_ccsam.wrong_input import exit_code

_BETWEEN = 0.5
"""Seconds between two agreements while steps are trained."""
_MOST_STEPS = 1000


class FailedElsewhere(RuntimeError):
    """Another process failed, and says why; this one ends with it.

    Args:
        process: the one that failed.
        exit_code: that of a command which ends with its error.
    """

    def __init__(self, process: int, exit_code: int) -> None:
        super().__init__(f"process {process} failed, and says why")
        self.exit_code = exit_code


def writes() -> bool:
    """Whether this process writes and prints: the first one does. It may be called by one alone."""
    return backend.process_index() == 0


def told(text: str) -> str:
    """What process 0 calls it with."""
    return str(backend.broadcast_host(np.array(text)))


@contextmanager
def agreed() -> Iterator[None]:
    """A block that every process comes to the end of, or none goes on.

    Raises:
        FailedElsewhere: it failed in another process. If it failed in several, the first of them
            raises its own error.
    """
    if backend.process_count() == 1:
        yield
        return
    own: Exception | None = None
    try:
        yield
    except Exception as error:
        own = error
    # Whichever process ends first, the command's exit code is that of the one that failed.
    codes = [int(code) for code in backend.host_gather(exit_code(own) if own is not None else 0)]
    failed = np.flatnonzero(codes)
    if not len(failed):
        return
    first = int(failed[0])
    if own is not None and first == backend.process_index():
        raise own
    raise FailedElsewhere(first, codes[first]) from own


def check_stop() -> None:
    """`stopping.check`, of which the processes agree: a signal to one of them stops all.

    Raises:
        stopping.Stopped: one was asked to stop.
    """
    if reason := Agreement().stop():
        raise stopping.Stopped(reason)


class Agreement:
    """Whether all processes stop, or save, at this step of a training.

    Signals and clocks are a process's own, so the processes ask each other: about every half second
    while steps are trained, whichever they are on all of them.
    """

    def __init__(self) -> None:
        self._stop: str | None = None
        self._steps = self._wait = 0
        self._since = time.perf_counter()

    def stop(self) -> str | None:
        """The reason to stop; None without one."""
        self._ask(False)
        return self._stop

    def at_step(self, due: Callable[[], bool], now: bool = False) -> tuple[str | None, bool]:
        """The reason to stop, and whether a state is to be saved.

        Args:
            due: whether process 0 would save now; the others are not asked.
            now: ask, however short the time since the last agreement.
        """
        if backend.process_count() > 1:
            self._steps += 1
            if self._steps <= self._wait and not now:
                return None, False
        return self._ask(due() if writes() else False)

    def _ask(self, due: bool) -> tuple[str | None, bool]:
        own = stopping.requested()
        if backend.process_count() == 1 or self._stop:
            self._stop = self._stop or own
            return self._stop, due
        elapsed = max(time.perf_counter() - self._since, 1e-9)
        wait = min(_MOST_STEPS, 2 * self._steps, math.floor(_BETWEEN * self._steps / elapsed))
        said = np.array([own is not None, due, wait * writes()], "int64")
        asked, due_anywhere, self._wait = (int(n) for n in backend.host_sum(said))
        self._steps, self._since = 0, time.perf_counter()
        if asked:
            self._stop = own or "a signal to another process"
        return self._stop, bool(due_anywhere)
