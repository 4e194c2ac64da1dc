"""SVG as text: elements, escaped, and numbers as short as they can be.

Colours are classes (`s0` ... `s7`, `q0` ... `q9`, `v0` ... `v11`) and never values, so that the
page's style sheet draws the same picture on light and on dark ground.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from markupsafe import Markup, escape

SERIES = 8
"""How many series are told apart by colour; further ones are dashed."""

SHADES = 10
"""Steps of the scale from the ground's colour to a strong blue."""

LEVELS = 12
"""Steps of the scale of maps."""


def element(tag: str, *children: Any, **attributes: Any) -> Markup:
    """`<tag attributes>children</tag>`, every value escaped.

    Args:
        tag: the name.
        children: text, which is escaped, or `Markup`, which is not; None is left out.
        attributes: `class_` is `class`, `view_box` is `viewBox`, `_` becomes `-`; None is left out
            and a float is rounded.
    """
    names = {"class_": "class", "view_box": "viewBox", "for_": "for"}
    text = "".join(
        f' {names.get(name, name.replace("_", "-"))}="{escape(_value(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    inner = "".join(escape(child) for child in children if child is not None)
    return Markup(f"<{tag}{text}>{inner}</{tag}>")


def number(value: float) -> str:
    """A coordinate with at most one decimal."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def join(parts: Iterable[Any]) -> Markup:
    """Several elements in a row."""
    return Markup("").join(parts)


def cut(name: str, most: int) -> str:
    """A name, shortened where it is longer than there is room for."""
    return name if len(name) <= most else name[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def series_class(index: int, *more: str) -> str:
    """The class of a series: its colour, and a dash where the colours are used up."""
    dash = (f"dash{index // SERIES % 3}",) if index >= SERIES else ()
    return " ".join((f"s{index % SERIES}", *dash, *more))


def path(points: Sequence[tuple[float, float]], close: bool = False) -> str:
    """The data of a path through points; one that is not finite interrupts it."""
    parts, fresh = [], True
    for x, y in points:
        if not (math.isfinite(x) and math.isfinite(y)):
            fresh = True
            continue
        parts.append(f"{'M' if fresh else 'L'}{number(x)} {number(y)}")
        fresh = False
    return "".join(parts) + ("Z" if close and parts else "")


def drawing(width: float, height: float, title: str, *children: Any, wide: bool = False) -> Markup:
    """A picture of so many units; it grows with the page, and `wide` scrolls where it must.

    Args:
        width: of the canvas; text is drawn at 11 units.
        height: likewise.
        title: what a reader who cannot see it is told.
        children: elements.
        wide: it may not shrink below its width.
    """
    made = element(
        "svg",
        *children,
        view_box=f"0 0 {number(width)} {number(height)}",
        role="img",
        aria_label=title,
        width=number(width) if wide else None,
        class_="wide" if wide else None,
    )
    return made


def _value(value: Any) -> str:
    return number(value) if isinstance(value, float) else str(value)
