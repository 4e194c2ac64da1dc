"""A reliability diagram: accuracy over confidence, with the samples of each bin below."""

from collections.abc import Sequence

from markupsafe import Markup

from keras_ccsam.analysis.report.axes import Frame, axes, title_text
from keras_ccsam.analysis.report.scales import Scale
from keras_ccsam.analysis.report.svg import drawing, element, series_class

STRIP = 26.0
SELDOM = 0.01
"""A bin with a smaller share of the samples is drawn faintly: it says little."""


def reliability(
    title: str,
    samples: Sequence[int],
    accuracy: Sequence[float | None],
    confidence: Sequence[float | None],
    series: int = 0,
) -> Markup:
    """Draw bins of equal width; the diagonal is perfect calibration.

    Args:
        title: above.
        samples: of each bin.
        accuracy: of each bin; None of an empty one.
        confidence: likewise.
        series: which colour.
    """
    frame = Frame(height=276.0, bottom=276.0 - 40.0 - STRIP - 6)
    x = Scale(0.0, 1.0, frame.left, frame.right)
    y = Scale(0.0, 1.0, frame.bottom, frame.top)
    ticks = [(v / 4, f"{25 * v}") for v in range(5)]
    parts = [title_text(title)]
    base = frame.bottom + STRIP + 6
    parts += axes(
        x,
        y,
        Frame(height=frame.height, bottom=base),
        "confidence (%)",
        "accuracy (%)",
        x_ticks=ticks,
        y_ticks=ticks,
    )
    width = (frame.right - frame.left) / len(samples)
    most = max(max(samples), 1)
    for index, (n, right, sure) in enumerate(zip(samples, accuracy, confidence, strict=True)):
        if not n or right is None or sure is None:
            continue
        at = frame.left + index * width
        gap = sure - right
        tip = (
            f"confidence {100 * sure:.1f} %, accuracy {100 * right:.1f} %, {n} samples, "
            f"{'over' if gap > 0 else 'under'}confident by {100 * abs(gap):.1f} points"
        )
        seldom = "seldom" if n < SELDOM * sum(samples) else ""
        bar = f"M{at + 1:.1f} {y(0):.1f}V{y(right):.1f}h{width - 2:.1f}V{y(0):.1f}z"
        words = filter(None, ("bar", seldom))
        parts.append(element("path", d=bar, class_=series_class(series, *words), data_tip=tip))
        low, high = sorted((y(right), y(sure)))
        if high - low > 0.3 and not seldom:
            rest = f"M{at + 1:.1f} {low:.1f}h{width - 2:.1f}V{high:.1f}h{2 - width:.1f}z"
            kind = "over" if gap > 0 else "under"
            parts.append(element("path", d=rest, class_=kind, data_tip=tip))
        tall = max(STRIP * n / most, 0.8)
        strip = f"M{at + 1:.1f} {base:.1f}v-{tall:.1f}h{width - 2:.1f}v{tall:.1f}z"
        parts.append(element("path", d=strip, class_="strip", data_tip=tip))
    diagonal = f"M{x(0):.1f} {y(0):.1f}L{x(1):.1f} {y(1):.1f}"
    parts.append(element("path", d=diagonal, class_="mark"))
    return drawing(frame.width, frame.height, f"{title}: accuracy over confidence", *parts)
