"""A number per class as a tiny row of bars, to stand in a table."""

from collections.abc import Sequence

from markupsafe import Markup

from keras_ccsam.analysis.report.svg import drawing, element, series_class

WIDTH, HEIGHT = 110.0, 22.0
MOST = 55


def profile(shares: Sequence[float | None], label: str, series: int) -> Markup:
    """Draw shares 0..1 from left to right; neighbours are averaged where there are many.

    Args:
        shares: in the order to draw; None is left out.
        label: what a reader who cannot see it is told.
        series: which colour.
    """
    per_bar = -(-len(shares) // MOST)
    groups = [shares[i : i + per_bar] for i in range(0, len(shares), per_bar)]
    width = WIDTH / len(groups)
    data = []
    for index, group in enumerate(groups):
        known = [v for v in group if v is not None]
        if known:
            tall = max(sum(known) / len(known) * (HEIGHT - 2), 0.6)
            gap = min(1.0, width * 0.15)
            data.append(
                f"M{index * width:.1f} {HEIGHT:g}v-{tall:.1f}h{width - gap:.1f}v{tall:.1f}z"
            )
    bars = element("path", d="".join(data), class_=series_class(series, "bar"))
    ground = element("path", d=f"M0 {HEIGHT:g}H{WIDTH:g}", class_="ax")
    return drawing(WIDTH, HEIGHT + 1, label, bars, ground)
