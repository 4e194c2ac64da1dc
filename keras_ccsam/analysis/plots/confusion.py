"""The confusion matrix, each row in percent of its class."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.metrics import Report


def confusion(matrix: Any, path: canvas.PathLike, class_names: Sequence[str] | None = None) -> Path:
    """Confusion matrix, each row in percent of its class.

    Args:
        matrix: (C, C) samples, row = label, column = prediction; or a report.
        path: The PNG to write.
        class_names: Names of the classes, shown where there are at most 20.

    Raises:
        ValueError: A matrix that is not square.
    """
    counts = np.asarray(matrix.confusion if isinstance(matrix, Report) else matrix, "float64")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or not counts.size:
        raise ValueError(f"`matrix` must be square. Received: matrix with shape {counts.shape}")
    size = len(counts)
    names = canvas.names_of(class_names, size)
    totals = counts.sum(axis=1, keepdims=True)
    share = 100 * np.divide(counts, totals, where=totals > 0, out=np.full_like(counts, np.nan))
    few_classes = size <= canvas.NAMED_CLASSES
    side = max(4.2, 1.6 + 0.45 * size) if few_classes else 8.0
    drawing = canvas.figure(side + 1.1, side)
    axes = drawing.subplots()
    from matplotlib.colors import PowerNorm

    # Of many classes the single errors are small: the root makes them visible.
    scale = PowerNorm(1.0 if few_classes else 0.5, vmin=0, vmax=100)
    image = axes.imshow(share, cmap="Blues", norm=scale)
    canvas.class_ticks(axes.xaxis, names, "predicted class")
    canvas.class_ticks(axes.yaxis, names, "true class")
    canvas.bare(axes, grid=False)
    bar = drawing.colorbar(image, ax=axes, shrink=0.8, label="% of the true class")
    bar.set_ticks([0, 20, 40, 60, 80, 100] if few_classes else [0, 1, 5, 10, 20, 40, 60, 80, 100])
    if few_classes:
        for row, column in np.argwhere(np.nan_to_num(share) >= 0.5).tolist():
            value = share[row, column]
            colour = "white" if value > 55 else canvas.DARK
            axes.text(
                column, row, f"{value:.0f}", ha="center", va="center", fontsize=8, color=colour
            )
    return canvas.save(drawing, path)
