"""A surface seen from above: filled contours on levels that several panels share."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from keras_ccsam.analysis.report.axes import Frame, axes, title_text
from keras_ccsam.analysis.report.scales import Scale, tick_text
from keras_ccsam.analysis.report.svg import LEVELS, drawing, element, number

UNIT = 0.5
# Matplotlib's codes of a path, as contourpy gives them.
_BEGUN, _CLOSED = 1, 79


def shared_levels(surfaces: Sequence[np.ndarray]) -> np.ndarray:
    """(LEVELS + 1,) levels, equally far apart in the logarithm, that hold every surface.

    The lowest tenth of a percent and the highest two percent fall together with their neighbours:
    one exploded corner would take all the colours.
    """
    values = np.concatenate([np.ravel(s)[np.isfinite(np.ravel(s))] for s in surfaces])
    values = values[values > 0]
    if not len(values):
        return np.geomspace(0.1, 1.0, LEVELS + 1)
    low, high = float(np.quantile(values, 0.001)), float(np.quantile(values, 0.98))
    if high <= low * 1.0001:
        low, high = low * 0.9, high * 1.1
    return np.geomspace(low, high, LEVELS + 1)


def contour(
    title: str,
    x: Sequence[float],
    y: Sequence[float],
    surface: np.ndarray,
    levels: np.ndarray,
    *,
    x_label: str,
    y_label: str,
    trajectory: Sequence[tuple[float, float]] = (),
) -> Markup:
    """Draw a surface with the centre marked.

    Args:
        title: above.
        x: (X,) steps along the first direction.
        y: (Y,) steps along the second one.
        surface: (Y, X); what is not finite gets the highest colour.
        levels: from `shared_levels`.
        x_label: below.
        y_label: at the upper right.
        trajectory: points of a path across it.
    """
    import contourpy

    frame = Frame(width=300.0, height=310.0, right=290.0, bottom=270.0, left=42.0)
    across = Scale(float(min(x)), float(max(x)), frame.left, frame.right)
    up = Scale(float(min(y)), float(max(y)), frame.bottom, frame.top)
    top = float(levels[-1])
    height = np.where(np.isfinite(surface), surface, top)
    made = contourpy.contour_generator(
        np.asarray(x, "float64"),
        np.asarray(y, "float64"),
        np.log(np.clip(height, float(levels[0]) * 1.0000001, top * 0.9999999)),
        fill_type=contourpy.FillType.OuterCode,
    )
    parts, bands = [title_text(title)], []
    edges = np.log(levels)
    for index in range(LEVELS):
        data = "".join(
            _outline(points, codes, across, up)
            for points, codes in zip(*made.filled(edges[index], edges[index + 1]), strict=True)
        )
        if data:
            bands.append(element("path", d=data, class_=f"v{index}", fill_rule="evenodd"))
    parts.append(element("g", *bands, transform=f"scale({UNIT})"))
    parts += axes(across, up, frame, x_label, y_label, grid=False)
    if trajectory:
        places = [(across(a), up(b)) for a, b in trajectory]
        way = "L".join(f"{number(a)} {number(b)}" for a, b in places)
        parts.append(element("path", d=f"M{way}", class_="way"))
    if across.low <= 0 <= across.high and up.low <= 0 <= up.high:
        cx, cy = across(0.0), up(0.0)
        cross = f"M{cx - 6:.1f} {cy:.1f}h12M{cx:.1f} {cy - 6:.1f}v12"
        parts.append(element("path", d=cross, class_="centre"))
    return drawing(frame.width, frame.height, f"{title}: a map of the loss", *parts)


def level_bar(levels: np.ndarray, label: str) -> Markup:
    """The colours of the levels with their numbers."""
    width, tall = 26.0, 12.0
    parts = [element("text", label, x=0.0, y=11.0, class_="t")]
    start = 20.0
    for index in range(LEVELS):
        at = start + index * width
        box = element("rect", x=at, y=18.0, width=width, height=tall, class_=f"v{index}")
        parts.append(box)
    for index in range(0, LEVELS + 1, 3):
        text = tick_text(float(f"{levels[index]:.2g}"))
        parts.append(element("text", text, x=start + index * width, y=43.0, class_="t m"))
    return drawing(2 * start + width * LEVELS, 48.0, f"{label}: the colour scale", *parts)


def _outline(points: np.ndarray, codes: np.ndarray, x: Scale, y: Scale) -> str:
    """Polygons as a path of whole half units, each point told from the one before it."""
    parts: list[str] = []
    last = (0, 0)
    for (a, b), code in zip(points.tolist(), codes.tolist(), strict=True):
        if code == _CLOSED:
            parts.append("Z")
            continue
        place = (round(x(a) / UNIT), round(y(b) / UNIT))
        if code == _BEGUN:
            parts.append(f"M{place[0]} {place[1]}")
        elif abs(place[0] - last[0]) + abs(place[1] - last[1]) >= 2:
            across, up = place[0] - last[0], place[1] - last[1]
            parts.append(f"l{across}{'' if up < 0 else ' '}{up}")
        else:
            continue
        last = place
    return "".join(parts)
