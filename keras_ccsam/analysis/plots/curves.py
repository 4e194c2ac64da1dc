"""Loss, accuracy and learning rate over the epochs of a run."""

from pathlib import Path

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import (
    COLOURS,
    GREY,
    PathLike,
    bare,
    figure,
)
from keras_ccsam.analysis.plots.series import History, epoch_series


def curves(history: History, path: PathLike) -> Path:
    """Loss, accuracy and learning rate over epochs; validation is dashed.

    Args:
        history: A Keras history (`{"loss": [...], ...}`) or one record per epoch
            (`{"epoch": 1, "stage": 1, "loss": ...}`), in order; a record may lack values or hold
            None. Where the epochs start again, as those of a second stage do, they are counted
            on; a dotted line marks a change of `stage`. Of the names, those with "loss" or
            "accuracy" in them and `learning_rate` are drawn.
        path: The PNG to write.

    Raises:
        ValueError: Nothing to draw.
    """
    epochs, series, stage_starts = epoch_series(history)
    panels = {
        "loss": {k: v for k, v in series.items() if "loss" in k},
        "accuracy (%)": {k: 100 * v for k, v in series.items() if "accuracy" in k},
        "learning rate": {k: v for k, v in series.items() if k == "learning_rate"},
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    if not panels:
        raise ValueError(
            "`history` must hold a loss or an accuracy for at least one epoch. "
            f"Received: history with {sorted(series)}"
        )
    drawing = figure(4.6 * len(panels) + 0.4, 3.9)
    for axes, (title, lines) in zip(
        np.atleast_1d(drawing.subplots(1, len(panels))), panels.items(), strict=True
    ):
        names = list(dict.fromkeys(name.removeprefix("val_") for name in lines))
        for name, values in lines.items():
            known = np.isfinite(values)
            axes.plot(
                epochs[known],
                values[known],
                color=COLOURS[names.index(name.removeprefix("val_")) % len(COLOURS)],
                linestyle="--" if name.startswith("val_") else "-",
                marker="o" if known.sum() <= 12 else None,
                markersize=3.5,
                label=name.replace("val_", "validation ").replace("_", " "),
            )
        for start in stage_starts:
            axes.axvline(start, color=GREY, linewidth=1, linestyle=":")
        axes.set(xlabel="epoch", title=title)
        axes.xaxis.get_major_locator().set_params(integer=True)
        bare(axes)
        if title != "learning rate":
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, fontsize=8, frameon=False
            )
        elif all((values[np.isfinite(values)] > 0).all() for values in lines.values()):
            axes.set_yscale("log")
    return canvas.save(drawing, path)
