"""Theorem 1's bound beside training and test loss, over the epochs (the paper's Figure 3)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import COLOURS, DARK, GREY, PathLike, bare, figure, literal

_LOSSES = {"zero_one": "0-1 loss", "clipped": "cross-entropy clipped at 1"}


def bound(content: Mapping[str, Any], path: PathLike, label: int | None = None) -> Path:
    """One class's losses, the bound in both forms, and its square-root term on its own.

    Args:
        content: what a `BoundTracker` keeps, or its file holds.
        path: The PNG to write.
        label: the class; the first of those recorded by default.

    Raises:
        ValueError: A class that was not recorded, or no epoch at all.
    """
    classes = list(content["classes"])
    label = classes[0] if label is None and classes else label
    if label not in classes or not content["epochs"]:
        raise ValueError(
            f"`label` must be one of the recorded classes {classes}, of which there is at least "
            f"one epoch. Received: label={label}, {len(content['epochs'])} epochs"
        )
    place, epochs = classes.index(label), content["epochs"]
    settings = content["settings"]
    name, count = content["class_names"][label], content["class_counts"][label]
    drawing = figure(15.0, 4.6)
    panels = drawing.subplots(1, 3)
    marker = "o" if len(epochs) <= 12 else None

    def line(axes: Any, column: str, shown: str, colour: str, style: str = "-") -> None:
        values = np.array([row[place] for row in content["values"][column]], dtype="float64")
        if np.isfinite(values).any():
            axes.plot(epochs, values, style, color=colour, marker=marker, ms=3, label=shown)

    for axes, (kind, shown) in zip(panels[:2], _LOSSES.items(), strict=True):
        line(axes, f"train_{kind}", "training loss", COLOURS[0])
        line(axes, f"test_{kind}", "test loss", COLOURS[3])
        line(axes, f"worst_{kind}", "training loss at w + eps", COLOURS[0], ":")
        line(axes, f"bound_16_{kind}", "bound (16)", DARK)
        line(axes, f"bound_15_{kind}", "bound (15)", DARK, "--")
        axes.set(title=shown, xlabel="epoch of stage 1", ylabel="loss and bound")
    line(panels[2], "root_16", "of (16), O(1) = 0", COLOURS[2])
    line(panels[2], "root_16_with_constant", "of (16), O(1) = 1 + 8 log(6n + 3k)", COLOURS[4])
    line(panels[2], "root_15", "of (15)", COLOURS[2], "--")
    panels[2].axhline(1.0, color=GREY, linewidth=1)
    panels[2].set(title="square-root term alone", xlabel="epoch of stage 1")
    for axes in panels:
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(bottom=0)
        bare(axes)
        axes.legend(fontsize=8, frameon=False)
    without = "" if settings["has_test"] else "; no test data: its loss is not drawn"
    drawing.suptitle(
        f"class {literal(name)}, n = {count:,}; delta = {settings['delta']:g}; "
        f"w: {settings['weights']}, "
        f"k = {settings['weights_count']:,}; characteristic radius, r = 1 (not that of training)"
        f"{without}",
        fontsize=9,
        color=DARK,
    )
    return canvas.save(drawing, path)
