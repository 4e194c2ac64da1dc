"""What the console script calls: Ctrl-C is one line from here on to Python's own end."""

from __future__ import annotations

import signal

from . import light
from .at_once import ended_at_once, is_heeded


def main() -> None:
    """`ccsam`, with the time in which it is imported and that in which Python ends."""
    child = light.library("launching.child")
    if child.is_to_end_with_the_parent():
        child.end_with_the_parent()
    with ended_at_once():
        from .main import main as command
    try:
        command()
    finally:
        child.end_quickly()
        # Nothing is left to save, and what Python tidies up would show a traceback.
        if is_heeded():
            signal.signal(signal.SIGINT, signal.SIG_DFL)
