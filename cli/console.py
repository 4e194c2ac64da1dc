"""Output that reads well on a terminal and stays plain text in a file."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import click


def on_terminal() -> bool:
    """Whether a person watches: then progress bars and colour, otherwise plain lines."""
    return sys.stdout.isatty()


def table(
    headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[str] = ()
) -> str:
    """Lay out rows in columns of equal width.

    Args:
        headings: The first line.
        rows: The cells as text, each row as long as `headings`.
        right: The headings of the columns to align on the right, numbers usually.

    Returns:
        The lines, without trailing blanks and without a newline at the end.
    """
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    aligned = [
        "  ".join(
            cell.rjust(width) if heading in right else cell.ljust(width)
            for cell, width, heading in zip(line, widths, headings, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join(aligned)


def bar(value: float, largest: float, width: int = 40) -> str:
    """A bar of at most `width` cells; what is not nothing shows at least a sliver."""
    if value <= 0 or largest <= 0:
        return ""
    eighths = max(1, round(8 * width * value / largest))
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")


def say(text: str = "") -> None:
    """Print to stdout."""
    click.echo(text)


def warn(text: str) -> None:
    """Print a remark that belongs to no result to stderr."""
    click.echo(f"ccsam: {text}", err=True)
