"""A matrix as shades, one path per shade: ten thousand cells take a few kilobytes."""

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from keras_ccsam.analysis.report.axes import WIDTH, title_text
from keras_ccsam.analysis.report.svg import SHADES, cut, drawing, element, join

NAMED = 20
"""Up to so many rows are named, and their cells have numbers."""


def heat_map(
    title: str,
    share: np.ndarray,
    names: Sequence[str],
    x_label: str,
    y_label: str,
    *,
    root: bool | None = None,
) -> Markup:
    """Draw a square matrix of shares 0..1; NaN is left empty.

    Args:
        title: what is shown.
        share: (C, C), row by row.
        names: of rows and columns.
        x_label: of the columns.
        y_label: of the rows.
        root: shade by the root, which makes small shares visible; of many classes by default.
    """
    size = len(share)
    named = size <= NAMED
    root = not named if root is None else root
    most = min(max((len(cut(name, 14)) for name in names), default=1), 14)
    left = 30.0 + (6.4 * most if named else 22.0)
    top = 28.0
    side = max(WIDTH + 60.0 - left - 8.0, 16.0 * size if named else 0.0)
    cell = side / size
    parts = [title_text(title, 40)]
    parts.append(element("rect", x=left, y=top, width=side, height=side, class_="mapbox"))
    parts += _cells(share, left, top, cell, root)
    if named:
        parts += _numbers(share, left, top, cell, root)
    for place, name in _labels(names, named):
        at = (place + 0.5) * cell
        parts.append(element("text", name, x=left - 5, y=top + at + 3.6, class_="t e"))
        turned = named and most > 2
        x, y = left + at, top + side + 13
        turn = f"rotate(-45 {x:.1f} {y - 4:.1f})" if turned else None
        anchor = "t e" if turned else "t m"
        parts.append(element("text", name, x=x, y=y, class_=anchor, transform=turn))
    below = 14.0 + (4.6 * most if named and most > 2 else 0.0)
    parts.append(
        element("text", x_label, x=left + side / 2, y=top + side + below + 14, class_="t m")
    )
    middle = top + side / 2
    parts.append(
        element(
            "text",
            y_label,
            x=11.0,
            y=middle,
            class_="t m",
            transform=f"rotate(-90 11 {middle:.1f})",
        )
    )
    return drawing(left + side + 8, top + side + below + 22, title, join(parts))


def shade(value: float, root: bool) -> int:
    """Which of the shades a share gets; any share that is not 0 can be told from none."""
    if not value > 0:
        return 0
    scaled = math.sqrt(value) if root else value
    return min(SHADES - 1, max(1, math.ceil(scaled * (SHADES - 1))))


def _cells(share: np.ndarray, left: float, top: float, cell: float, root: bool) -> list[Markup]:
    """Equal neighbours of a row are drawn as one rectangle, in units of a cell."""
    paths: dict[int, list[str]] = {}
    for row, values in enumerate(share.tolist()):
        shades = [shade(v, root) if v == v else 0 for v in values]
        start = 0
        while start < len(shades):
            end = start
            while end < len(shades) and shades[end] == shades[start]:
                end += 1
            if shades[start]:
                box = f"M{start} {row}h{end - start}v1H{start}z"
                paths.setdefault(shades[start], []).append(box)
            start = end
    drawn = [
        element("path", d="".join(d), class_=f"q{level}") for level, d in sorted(paths.items())
    ]
    place = f"translate({left:.2f} {top:.2f}) scale({cell:.4f})"
    return [element("g", *drawn, transform=place)]


def _numbers(share: np.ndarray, left: float, top: float, cell: float, root: bool) -> list[Markup]:
    """Percent in the cells, of those that would not be rounded to 0."""
    made = []
    for row, column in np.argwhere(np.nan_to_num(share) >= 0.005).tolist():
        value = float(share[row, column])
        strong = shade(value, root) > SHADES // 2
        made.append(
            element(
                "text",
                f"{100 * value:.0f}",
                x=left + (column + 0.5) * cell,
                y=top + (row + 0.5) * cell + 3.4,
                class_="n on" if strong else "n",
            )
        )
    return made


def _labels(names: Sequence[str], named: bool) -> list[tuple[int, str]]:
    if named:
        return [(place, cut(name, 14)) for place, name in enumerate(names)]
    step = 10 if len(names) <= 200 else 100
    return [(place, str(place)) for place in range(0, len(names), step)]
