"""Ctrl-C while something is imported: one line, and the process ends."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def ended_at_once() -> Iterator[None]:
    """Let Ctrl-C end the process itself while something is imported.

    A `KeyboardInterrupt` may come out of an import as the `ImportError` of a package that one can
    do without, and be lost.
    """
    heeded = is_heeded()
    if heeded:
        signal.signal(signal.SIGINT, _interrupted)
    try:
        yield
    finally:
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def is_heeded() -> bool:
    """Whether Ctrl-C is a `KeyboardInterrupt` now; it is ignored below nohup."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _interrupted(number: int, _: FrameType | None) -> None:
    if os.environ.get("RANK", "0") == "0":  # of several processes, the first one says it
        sys.stderr.write("ccsam: error: interrupted\n")
        sys.stderr.flush()
    os._exit(130)  # EXIT_INTERRUPTED of .errors, which may be what is being imported
