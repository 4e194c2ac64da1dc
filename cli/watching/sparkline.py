"""A series of numbers in one row of characters."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
ASCII = "_.,-=+*#"

Series = Sequence[float | None]


def sparkline(values: Series, width: int, levels: str = BLOCKS) -> str:
    """Draw a series, the smallest value as the lowest level and the largest as the highest.

    Args:
        values: in their order; None, a value that was not finite, leaves a gap.
        width: columns at most; of a longer series, neighbours are averaged.
        levels: the characters, from low to high.

    Returns:
        At most `width` characters; none without any value.
    """
    cells = _fitted(values, width)
    known = [cell for cell in cells if cell is not None]
    if not known:
        return ""
    low, span = min(known), max(known) - min(known)
    top = len(levels) - 1

    def level(value: float) -> str:
        return levels[round(top * (value - low) / span) if span > 0 else top // 2]

    return "".join(" " if cell is None else level(cell) for cell in cells)


def _fitted(values: Series, width: int) -> list[float | None]:
    """As many cells as fit, each the mean of the values that fall into it."""
    n = len(values)
    if n <= width:
        return list(values)
    cells: list[float | None] = []
    for i in range(width):
        part = [v for v in values[i * n // width : (i + 1) * n // width] if v is not None]
        cells.append(sum(part) / len(part) if part else None)
    return cells
