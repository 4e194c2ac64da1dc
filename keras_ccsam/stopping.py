"""Signals that ask a training to stop: the first one lets it save, the second ends it at once.

It imports the standard library alone: the command line needs it before Keras is imported.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

EXIT_CODE = 75
"""Of a training that was asked to stop and can be gone on with: EX_TEMPFAIL of sysexits.h."""

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP")
_asked: str | None = None


class Stopped(SystemExit):
    """A training ended because it was asked to, and can be gone on with.

    Uncaught it ends Python with `EXIT_CODE`, without a traceback. It is no `Exception`: whoever
    goes on after the failure of one run of several does not go on after this.

    Args:
        reason: the signal's name.
        where: what has been saved.

    Attributes:
        run: the folder of the run that was stopped; "" where it is none of a run.
    """

    def __init__(self, reason: str, where: str = "") -> None:
        super().__init__(EXIT_CODE)
        self.reason = reason
        self.where = where
        self.run = ""

    def __str__(self) -> str:
        return f"stopped by {self.reason}" + (f", {self.where}" if self.where else "")


def requested() -> str | None:
    """The name of the signal that has asked to stop; None where none has."""
    return _asked


def check() -> None:
    """Stop here, between two parts of a run, if that was asked for.

    Raises:
        Stopped: it was.
    """
    if _asked is not None:
        raise Stopped(_asked)


@contextmanager
def stoppable(*others: str) -> Iterator[None]:
    """Let SIGINT (Ctrl-C), SIGTERM and SIGHUP ask the block to stop.

    What runs in the block looks at `requested`, where it can stop without a loss. After the first
    signal all three do again what the system does by itself, so the second ends the process at
    once, even in the middle of a compilation. The handlers of before are put back at the end, also
    under an exception. A signal that is ignored, as SIGHUP below nohup, stays so. In any other
    thread than the main one, the block changes nothing: Python has signals only there.

    Args:
        *others: names of further signals that ask, as in `"SIGUSR2"`.
    """
    global _asked
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer: dict[signal.Signals, Any] = {}
    before, _asked = _asked, None
    for name in (*_NAMES, *others):
        number = getattr(signal, name, None)  # no SIGHUP on Windows
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            outer[number] = signal.signal(number, _ask)
    try:
        yield
    finally:
        _asked = before
        for number, handler in outer.items():
            signal.signal(number, handler)


def _ask(number: int, _: FrameType | None) -> None:
    """Note a first signal; leave the second one to the system."""
    global _asked
    _asked = signal.Signals(number).name
    for other in signal.valid_signals():
        if signal.getsignal(other) is _ask:
            signal.signal(other, signal.SIG_DFL)
