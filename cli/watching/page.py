"""What is printed on, and how a number is written there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.text import Text

from .. import light
from .look import COMPLETE, FAILED, KILLED, RUNNING, STALE
from .sparkline import ASCII, BLOCKS, Series, sparkline
from .watcher import Shown

STYLES = {
    RUNNING: "cyan",
    STALE: "yellow",
    KILLED: "bold red",
    FAILED: "bold red",
    COMPLETE: "green",
}

Piece = tuple[str, str]
"""A text and its style."""


@dataclass(frozen=True)
class Page:
    """What is printed on.

    Attributes:
        width: columns.
        height: rows; None where there is no end to them.
        encoding: of the stream; without block characters in it, ASCII stands for them.
    """

    width: int
    height: int | None = None
    encoding: str = "utf-8"

    def writable(self, text: str) -> str:
        """The text with a question mark for what cannot be written, or would steer a terminal."""
        plain = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
        return plain.encode(self.encoding, "replace").decode(self.encoding)

    def spark(self, values: Series, width: int) -> str:
        """A sparkline in characters that can be written."""
        whole = self.writable(BLOCKS) == BLOCKS
        return sparkline(values, width, BLOCKS if whole else ASCII)


def fitted(pieces: Sequence[Piece], width: int) -> Text:
    """As many pieces as one row holds, two spaces apart; the first one cut short if it must be."""
    text = Text(no_wrap=True)
    for piece, style in pieces:
        if text.cell_len and text.cell_len + 2 + len(piece) > width:
            break
        text.append(f"{'  ' if text.cell_len else ''}{piece}", style)
    text.truncate(width)
    return text


def pace(shown: Shown) -> str:
    """Seconds per epoch; "" where they are not known."""
    seconds = shown.pace
    if seconds is None:
        return ""
    return f"{seconds:.2g} s" if seconds < 10 else _duration(seconds)


def left(shown: Shown) -> str:
    """`4 min left`; "" where it is not known, or nobody works at it."""
    look = shown.look
    if look.state != RUNNING:
        return ""
    if look.stage is not None and not look.stage.left:
        return "evaluating"
    if shown.left is None:
        return ""
    return f"{'up to ' if shown.bounded else ''}{_duration(shown.left)} left"


def latest(values: Series, digits: str = ".4f") -> str:
    """The last value; one that is null in the records was not finite."""
    last = values[-1] if values else None
    return "not finite" if last is None else format(last, digits)


def _duration(seconds: float) -> str:
    text: str = light.library("duration").duration(seconds)
    return text
