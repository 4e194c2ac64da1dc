"""Processes that wait for each other at the start say so, and do not wait for ever.

The frameworks wait in C++, where Python hears no signal, and end some ways by aborting. So another
thread looks at the clock, and Ctrl-C is the system's.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from keras_ccsam.backend.launched import Launched
from keras_ccsam.duration import duration

VARIABLE = "CCSAM_JOIN_SECONDS"
_LIMIT = 600
_QUIET = 5.0
_WRONG_INPUT = 2


def limit() -> float:
    """Seconds that a process waits for the others at the start: 600, or what the variable says.

    Raises:
        ValueError: that is no such number.
    """
    text = os.environ.get(VARIABLE, str(_LIMIT))
    if not text.isdecimal() or not 0 < int(text) < 10**7:
        raise ValueError(
            f"{VARIABLE} must be a whole number of seconds from 1 on. Received: {VARIABLE}={text!r}"
        )
    return int(text)


@contextmanager
def waiting(found: Launched, seconds: float) -> Iterator[None]:
    """A block in which this process meets the others.

    After some seconds one line on stderr says for whom it waits, and where. After `seconds` another
    one says what to look at, and this process ends with exit code 2.

    Args:
        found: which of the processes this one is.
        seconds: of `limit`.
    """
    met = threading.Event()

    def watch() -> None:
        first = found.place == 0
        others = f"process 0 at {found.address}"
        if first:
            rest = found.processes - 1
            others = f"{rest} other process{'es' * (rest > 1)} to come to {found.address}"
        which = f"process {found.place} of {found.processes}"
        if met.wait(min(_QUIET, seconds)):
            return
        left = f"it gives up after {duration(seconds)}, which {VARIABLE} changes"
        _say(f"{which} waits for {others}; {left}")
        if met.wait(seconds - _QUIET):
            return
        _say(
            f"error: {which} has waited {duration(seconds)} for {others}. Start all of them, with "
            "an address that all machines reach and a port that is free. "
            f"Received: address={found.address!r}"
        )
        os._exit(_WRONG_INPUT)

    heeded = _heeds_interrupts()
    if heeded:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        met.set()
        if heeded:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _heeds_interrupts() -> bool:
    if threading.current_thread() is not threading.main_thread():
        return False
    return signal.getsignal(signal.SIGINT) is signal.default_int_handler


def _say(words: str) -> None:
    sys.stderr.write(f"ccsam: {words}\n")
    sys.stderr.flush()
