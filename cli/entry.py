"""What the console script calls: Ctrl-C is one line from here on to Python's own end."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def main() -> None:
    """`ccsam`, with the time in which it is imported and that in which Python ends."""
    with ended_at_once():
        from .main import main as command
    try:
        command()
    finally:
        # Nothing is left to save, and what Python tidies up would show a traceback.
        if _is_heeded():
            signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process itself while something is imported.

    A `KeyboardInterrupt` may come out of an import as the `ImportError` of a package that one can
    do without, and be lost.
    """
    heeded = _is_heeded()
    if heeded:
        signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _is_heeded() -> bool:
    """Whether Ctrl-C is a `KeyboardInterrupt` now; it is ignored below nohup."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupted(number: int, _: FrameType | None) -> None:
    sys.stderr.write("ccsam: error: interrupted\n")
    sys.stderr.flush()
    os._exit(130)  # EXIT_INTERRUPTED of .errors, which may be what is being imported
