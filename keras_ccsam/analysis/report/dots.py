"""One row per method: a dot for each seed, a bar at their mean."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from markupsafe import Markup

from keras_ccsam.analysis.report.axes import WIDTH, title_text
from keras_ccsam.analysis.report.scales import fitted, tick_text
from keras_ccsam.analysis.report.svg import cut, drawing, element, series_class

ROW = 22.0
LABEL = 15
"""Letters of a name beside the drawing; longer ones are cut, and whole in the tip."""


def dot_rows(
    title: str,
    rows: Sequence[tuple[str, Sequence[float]]],
    x_label: str,
    unit: str = "",
    most: float = math.inf,
) -> Markup:
    """Draw every seed's number, so that the spread is seen and not only told.

    Args:
        title: above.
        rows: a name and the numbers of its seeds, in the order of the series.
        x_label: below the axis.
        unit: behind a number in a tip.
        most: the highest number that there can be.
    """
    left, right, top = 112.0, WIDTH - 14.0, 26.0
    bottom = top + ROW * len(rows)
    x = fitted((v for _, values in rows for v in values), left, right, margin=0.08)
    x = replace(x, high=min(x.high, most + 0.08 * (most - x.low))) if math.isfinite(most) else x
    ticks = [tick for tick in x.ticks(4) if tick <= most]
    lines = "".join(f"M{x(v):.1f} {top:g}V{bottom:g}" for v in ticks)
    parts = [
        title_text(title, 40),
        element("path", d=lines, class_="grid"),
    ]
    parts += [element("text", tick_text(v), x=x(v), y=bottom + 15, class_="t m") for v in ticks]
    parts.append(element("text", x_label, x=(left + right) / 2, y=bottom + 32, class_="t m"))
    for index, (name, values) in enumerate(rows):
        at = top + ROW * (index + 0.5)
        known = [v for v in values if math.isfinite(v)]
        parts.append(
            element("text", cut(name, LABEL), x=left - 8, y=at + 3.8, class_="t e", data_tip=name)
        )
        if not known:
            parts.append(element("text", "none", x=left + 4, y=at + 3.8, class_="t"))
            continue
        mean = statistics.fmean(known)
        ends = f"M{x(min(known)):.1f} {at:.1f}H{x(max(known)):.1f}"
        stroke = f"M{x(mean):.1f} {at - 6:.1f}v12"
        parts.append(element("path", d=ends + stroke, class_=series_class(index, "ln")))
        for value in known:
            parts.append(
                element(
                    "circle",
                    cx=x(value),
                    cy=at,
                    r=4,
                    class_=series_class(index, "dot"),
                    data_tip=f"{name}: {value:.2f}{unit} (mean {mean:.2f}{unit})",
                )
            )
    words = f"{title}: {', '.join(name for name, _ in rows)}, one dot per seed"
    return drawing(WIDTH, bottom + 36, words, *parts)
