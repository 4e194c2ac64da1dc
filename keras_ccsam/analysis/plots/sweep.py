"""Accuracy over the values of one key (the paper's Figure 1), with the spread over seeds."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import COLOURS, DARK, GREY, PathLike, bare, figure

_PANELS = {
    "balanced accuracy (%)": {"validation": "validation_balanced", "test": "balanced"},
    "overall accuracy (%)": {"validation": "validation", "test": "overall"},
}


def sweep(content: Mapping[str, Any], path: PathLike) -> Path:
    """Validation and test accuracy at each value, mean and standard deviation over the seeds.

    Args:
        content: a sweep's `to_dict()`.
        path: The PNG to write.

    Raises:
        ValueError: No value.
    """
    rows = content["rows"]
    if not rows:
        raise ValueError("`content` must hold at least one row. Received: content with 0 rows")
    names = [str(row["value"]) for row in rows]
    numbers = [_number(name) for name in names]
    measured = all(math.isfinite(number) for number in numbers)
    positive = measured and min(numbers) > 0
    places = numbers if measured else list(range(len(names)))
    order = np.argsort(places)
    drawing = figure(11.0, 4.4)
    for axes, (title, series) in zip(drawing.subplots(1, 2), _PANELS.items(), strict=True):
        for colour, (label, column) in zip((COLOURS[0], COLOURS[3]), series.items(), strict=True):
            means = np.array([row[column]["mean"] for row in rows], dtype="float64") * 100
            spreads = np.array([row[column]["std"] or 0.0 for row in rows], dtype="float64") * 100
            axes.errorbar(
                np.array(places, "float64")[order],
                means[order],
                spreads[order] if spreads.any() else None,
                fmt="o-",
                color=colour,
                markersize=4,
                capsize=3,
                label=label,
            )
        best = places[names.index(str(content["recommended"]))]
        axes.axvline(
            best, color=GREY, linestyle=":", label=f"recommended: {content['recommended']}"
        )
        axes.set(title=title, xlabel=content["key"])
        if positive and max(numbers) >= 10 * min(numbers):
            axes.set_xscale("log")
        elif not measured:
            axes.set_xticks(places, labels=names)
        bare(axes)
        axes.legend(fontsize=8, frameon=False)
    n = len(content["seeds"])
    spread = f"mean ± standard deviation over {n} seeds" if n > 1 else "one seed"
    drawing.suptitle(
        f"{content['recipe']} on {content['data']}, {spread}; recommended by the balanced accuracy "
        "on the validation split",
        fontsize=9,
        color=DARK,
    )
    return canvas.save(drawing, path)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
