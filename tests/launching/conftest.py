"""A hard limit for each test that begins processes."""

import signal
import threading

import pytest

_SECONDS = 900


@pytest.fixture(autouse=True)
def hard_limit():
    """End a test whose launcher waits for ever: as it is closed, it kills what it has begun."""
    if not hasattr(signal, "SIGALRM") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(*_):
        raise TimeoutError(f"a test of launchers takes longer than {_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(_SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)
