"""Many points in the plane, in few bytes: each series is one path of round dots."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from keras_ccsam.analysis.report.axes import Frame, axes, title_text
from keras_ccsam.analysis.report.scales import Scale, fitted
from keras_ccsam.analysis.report.svg import drawing, element, number, series_class


@dataclass(frozen=True)
class Cloud:
    """The points of one series: (M, 2), its name and which colour."""

    label: str
    points: np.ndarray
    series: int


def scatter(
    title: str, clouds: Sequence[Cloud], x_label: str, y_label: str, *, bare: bool = False
) -> Markup:
    """Draw clouds of points in one panel.

    Args:
        title: above it.
        clouds: the rarest last, so that it lies on top.
        x_label: below.
        y_label: at the upper right.
        bare: without numbers beside the axes, where they mean nothing, and both drawn alike, so
            that distances can be compared.
    """
    frame = Frame(left=12.0, height=280.0, bottom=254.0) if bare else Frame()
    everything = np.concatenate([cloud.points for cloud in clouds if len(cloud.points)])
    x = fitted(everything[:, 0], frame.left, frame.right)
    y = fitted(everything[:, 1], frame.bottom, frame.top)
    if bare:
        x, y = _alike(x, y)
    none: list[tuple[float, str]] | None = [] if bare else None
    parts = [
        title_text(title),
        *axes(x, y, frame, x_label, y_label, x_ticks=none, y_ticks=none),
    ]
    for cloud in clouds:
        data = "".join(f"M{number(x(a))} {number(y(b))}h0" for a, b in cloud.points.tolist())
        parts.append(element("path", d=data, class_=series_class(cloud.series, "cloud")))
    words = f"{title}: {sum(len(c.points) for c in clouds)} points"
    return drawing(frame.width, frame.height, words, *parts)


def _alike(x: Scale, y: Scale) -> tuple[Scale, Scale]:
    """Both axes with as many units per step: the shorter one is widened on both sides."""
    across, up = abs(x.end - x.start), abs(y.end - y.start)
    unit = max((x.high - x.low) / across, (y.high - y.low) / up)
    made = []
    for scale, room in ((x, across), (y, up)):
        more = (unit * room - (scale.high - scale.low)) / 2
        made.append(replace(scale, low=scale.low - more, high=scale.high + more))
    return made[0], made[1]
