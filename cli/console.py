"""Output that reads well on a terminal and stays plain text in a file."""

from __future__ import annotations

from typing import TextIO


def bar(value: float, largest: float, width: int = 40) -> str:
    """A bar of at most `width` cells; what is not nothing shows at least a sliver."""
    if value <= 0 or largest <= 0:
        return ""
    eighths = max(1, round(8 * width * value / largest))
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def forgiving(*streams: TextIO) -> None:
    """Let nothing that is printed fail for a letter: what a stream cannot hold, it escapes.

    Such are the bytes of a file's name that are no UTF-8, and block characters in Latin-1. A
    command would end with an error after all its work.
    """
    for stream in streams:
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None and getattr(stream, "errors", None) == "strict":
            reconfigure(errors="backslashreplace")
