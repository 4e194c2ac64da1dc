"""Lines over an axis, with a band where several seeds differ."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from keras_ccsam.analysis.report.axes import Frame, axes, title_text
from keras_ccsam.analysis.report.scales import Scale, fitted, tick_text
from keras_ccsam.analysis.report.svg import drawing, element, path, series_class

MOST_POINTS = 240
DOTTED = 12
"""Up to so many points are marked one by one."""


@dataclass(frozen=True)
class Line:
    """One series.

    Attributes:
        label: its name, as the legend has it.
        x, y: equally long; NaN interrupts the line.
        low, high: of a band, or empty.
        series: which colour.
        dashed: drawn in dashes.
        thin: drawn as a thin line without points.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = field(default=())
    high: Sequence[float] = field(default=())
    series: int = 0
    dashed: bool = False
    thin: bool = False


def line_chart(
    title: str,
    lines: Sequence[Line],
    x_label: str,
    y_label: str = "",
    *,
    frame: Frame | None = None,
    log_x: bool = False,
    log_y: bool = False,
    include_y: Sequence[float] = (),
    y_range: tuple[float, float] | None = None,
    x_ticks: Sequence[tuple[float, str]] | None = None,
    marks: Sequence[tuple[float, str]] = (),
    wide: bool = False,
) -> Markup:
    """Draw lines in one panel.

    Args:
        title: above it.
        lines: what is drawn, in this order.
        x_label: below the axis.
        y_label: at the upper right.
        frame: the area; a small panel by default.
        log_x, log_y: logarithmic axes; what is not positive has no place there.
        include_y: numbers that the vertical axis must show, such as 0.
        y_range: both ends of the vertical axis, in place of what the numbers need.
        x_ticks: places and names, in place of round numbers; of whole numbers only whole ones.
        marks: dotted vertical lines with a name behind them, above the area; a name without a
            line where the place is left of it.
        wide: scroll, rather than shrink.
    """
    frame = frame or Frame()
    x = fitted((v for line in lines for v in line.x), frame.left, frame.right, log=log_x)
    if y_range is None:
        heights = [v for line in lines for part in (line.y, line.low, line.high) for v in part]
        y = fitted(heights, frame.bottom, frame.top, log=log_y, include=include_y)
    else:
        y = Scale(*y_range, frame.bottom, frame.top, log_y)
    if x_ticks is None and not log_x and all(v == int(v) for line in lines for v in line.x):
        x_ticks = [(tick, tick_text(tick)) for tick in x.ticks(5) if tick == int(tick)]
    around = axes(x, y, frame, x_label, y_label, x_ticks=x_ticks, titled=bool(title))
    parts = [title_text(title, 26 if y_label else 36), *around]
    for place, name in marks:
        at = max(x(place), frame.left)
        if place > x.low:
            upright = f"M{at:.1f} {frame.top - 6:g}V{frame.bottom:g}"
            parts.append(element("path", d=upright, class_="mark"))
        if name:
            parts.append(element("text", name, x=at + 4, y=frame.top - 2, class_="t"))
    parts += [_band(line, x, y) for line in lines if len(line.low)]
    for line in lines:
        parts += _drawn(line, x, y)
    names = ", ".join(line.label for line in lines)
    words = f"{title or y_label} over {x_label}: {names}"
    return drawing(frame.width, frame.height, words, *parts, wide=wide)


def _drawn(line: Line, x: Scale, y: Scale) -> list[Markup]:
    every = max(1, math.ceil(len(line.x) / MOST_POINTS))
    kept = [i for i in range(len(line.x)) if i % every == 0 or i == len(line.x) - 1]
    points = [(x(line.x[i]), y(line.y[i])) for i in kept]
    words = ("ln", "thin" if line.thin else "", "dashed" if line.dashed else "")
    made = [element("path", d=path(points), class_=series_class(line.series, *filter(None, words)))]
    if len(line.x) <= DOTTED and not line.thin:
        for (across, up), i in zip(points, kept, strict=True):
            if math.isfinite(across) and math.isfinite(up):
                tip = f"{line.label}: {line.y[i]:.4g} at {tick_text(line.x[i])}"
                made.append(
                    element(
                        "circle",
                        cx=across,
                        cy=up,
                        r=3,
                        class_=series_class(line.series, "dot"),
                        data_tip=tip,
                    )
                )
    return made


def _band(line: Line, x: Scale, y: Scale) -> Markup:
    every = max(1, math.ceil(len(line.x) / MOST_POINTS))
    kept = [i for i in range(len(line.x)) if i % every == 0 or i == len(line.x) - 1]
    upper = [(x(line.x[i]), y(line.high[i])) for i in kept]
    lower = [(x(line.x[i]), y(line.low[i])) for i in reversed(kept)]
    around = [p for p in (*upper, *lower) if math.isfinite(p[0]) and math.isfinite(p[1])]
    return element("path", d=path(around, close=True), class_=series_class(line.series, "band"))
