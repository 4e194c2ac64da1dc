"""Accuracy of several methods side by side, in groups of classes."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import (
    COLOURS,
    DARK,
    HATCHES,
    PathLike,
    bare,
    figure,
)


def comparison(
    rows: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    path: PathLike,
    columns: Sequence[str] = ("many", "medium", "few", "overall"),
) -> Path:
    """Accuracy of several methods side by side, in groups of classes, with error bars.

    Args:
        rows: One mapping per method, or a comparison's `to_dict()`. Each has the method's name
            under "recipe" or "method" and, under a column's name, an accuracy, a pair (mean,
            standard deviation) or `{"mean": ..., "std": ...}`. What is missing or None is left
            open.
        path: The PNG to write.
        columns: What to draw, in this order; a column that no method has is left out.

    Raises:
        ValueError: No accuracy to draw.
    """
    rows = rows["rows"] if isinstance(rows, Mapping) else rows
    found = [{c: _mean_std(row.get(c)) for c in columns} for row in rows]
    shown = [c for c in columns if any(pairs[c] is not None for pairs in found)]
    if not shown:
        raise ValueError(
            f"`rows` must hold at least one method with one of {', '.join(columns)}. "
            f"Received: {len(rows)} rows with {sorted({key for row in rows for key in row})}"
        )
    drawing = figure(min(max(6.0, 1.6 + 0.42 * len(rows) * len(shown)), 16.0), 4.2)
    axes = drawing.subplots()
    width = 0.84 / len(rows)
    upright = len(rows) > 6
    top = 0.0
    for index, (row, pairs) in enumerate(zip(rows, found, strict=True)):
        known = [(place, pair) for place, c in enumerate(shown) if (pair := pairs[c]) is not None]
        places = [place + (index - (len(rows) - 1) / 2) * width for place, _ in known]
        means = [100 * mean for _, (mean, _) in known]
        spreads = [100 * std for _, (_, std) in known]
        axes.bar(
            places,
            means,
            0.92 * width,
            yerr=spreads if any(spreads) else None,
            error_kw={"elinewidth": 1.1, "ecolor": DARK, "capsize": 2.5},
            color=COLOURS[index % len(COLOURS)],
            hatch=HATCHES[index // len(COLOURS) % len(HATCHES)],
            edgecolor="white",
            linewidth=0.5,
            label=str(row.get("recipe", row.get("method", index))),
        )
        for place, mean, spread in zip(places, means, spreads, strict=True):
            top = max(top, mean + spread)
            axes.annotate(
                f"{mean:.1f}",
                (place, mean + spread),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=7,
                rotation=90 if upright else 0,
            )
    axes.set(xticks=range(len(shown)), xticklabels=shown, ylabel="accuracy (%)")
    axes.set(ylim=(0, (1.14 if upright else 1.08) * top + 1), xlim=(-0.55, len(shown) - 0.45))
    bare(axes)
    drawing.legend(loc="outside lower center", ncols=min(len(rows), 6), fontsize=8, frameon=False)
    return canvas.save(drawing, path)


def _mean_std(value: Any) -> tuple[float, float] | None:
    """A number, a pair, or `{"mean", "std"}` as (mean, standard deviation)."""
    if isinstance(value, Mapping):
        value = (value.get("mean"), value.get("std"))
    mean, std = value if isinstance(value, (tuple, list)) else (value, None)
    if mean is None or not math.isfinite(mean):
        return None
    return float(mean), float(std or 0.0)
