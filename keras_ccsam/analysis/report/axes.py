"""The frame of a chart: ticks, grid lines and titles."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from keras_ccsam.analysis.report.scales import Scale, tick_text
from keras_ccsam.analysis.report.svg import cut, element

WIDTH, HEIGHT = 340.0, 236.0
"""Of a panel; three stand side by side on a wide screen and one fills a phone's."""


@dataclass(frozen=True)
class Frame:
    """Where a chart's area is.

    Attributes:
        width, height: of the whole drawing.
        left, right, top, bottom: the edges of the area.
    """

    width: float = WIDTH
    height: float = HEIGHT
    left: float = 46.0
    right: float = WIDTH - 12.0
    top: float = 30.0
    bottom: float = HEIGHT - 40.0


def title_text(text: str, most: int = 26) -> Markup:
    """The name of a panel, above it; cut where it is longer than there is room for."""
    shown = cut(text, most)
    tip = text if shown != text else None
    return element("text", shown, x=2.0, y=14.0, class_="pt", data_tip=tip)


def axes(
    x: Scale,
    y: Scale,
    frame: Frame,
    x_label: str,
    y_label: str,
    *,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    y_ticks: Sequence[tuple[float, str]] | None = None,
    titled: bool = True,
    grid: bool = True,
) -> list[Markup]:
    """Grid lines, ticks and labels.

    Args:
        x: of the horizontal axis.
        y: of the vertical one.
        frame: the area.
        x_label: below.
        y_label: above the area, where it can be read without turning the head.
        x_ticks: places and their names; round numbers by default.
        y_ticks: likewise.
        grid: with lines across the area.
        titled: the panel has a title on the left; `y_label` stands on the right then.
    """
    across = [(v, tick_text(v)) for v in x.ticks(5)] if x_ticks is None else x_ticks
    upward = [(v, tick_text(v)) for v in y.ticks(4)] if y_ticks is None else y_ticks
    lines = "".join(f"M{frame.left:g} {y(v):.1f}H{frame.right:g}" for v, _ in upward)
    marks = "".join(f"M{x(v):.1f} {frame.bottom:g}v4" for v, _ in across)
    made = [
        element("path", d=lines, class_="grid") if grid else Markup(""),
        element("path", d=f"M{frame.left:g} {frame.bottom:g}H{frame.right:g}{marks}", class_="ax"),
    ]
    made += [
        element("text", text, x=frame.left - 6, y=y(v) + 3.6, class_="t e") for v, text in upward
    ]
    made += [element("text", text, x=x(v), y=frame.bottom + 16, class_="t m") for v, text in across]
    middle = (frame.left + frame.right) / 2
    made.append(element("text", x_label, x=middle, y=frame.bottom + 34, class_="t m"))
    if y_label:
        across_at, anchor = (frame.right, "t e") if titled else (2.0, "t")
        made.append(element("text", y_label, x=across_at, y=14.0, class_=anchor))
    return made
