"""Output that reads well on a terminal and stays plain text in a file."""

from __future__ import annotations


def bar(value: float, largest: float, width: int = 40) -> str:
    """A bar of at most `width` cells; what is not nothing shows at least a sliver."""
    if value <= 0 or largest <= 0:
        return ""
    eighths = max(1, round(8 * width * value / largest))
    full, rest = divmod(eighths, 8)
    return "█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")
