"""CC-SAM's radii over the epochs, and over the classes' numbers of images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.plots import canvas
from keras_ccsam.analysis.plots.canvas import DARK, PathLike, bare, figure

_COLUMNS = {
    "gradient_norm": "||g_c||, gradient of the class's loss",
    "radius": "rho_c, characteristic radius at r = 1",
    "step_norm": "||eps_c|| = r sqrt(k) rho_c",
}


def radius(content: Mapping[str, Any], path: PathLike) -> Path:
    """Gradient norm, radius and step of each class: over epochs, and at the last one over counts.

    Args:
        content: what a `RadiusLog` keeps, or its file holds.
        path: The PNG to write.

    Raises:
        ValueError: No epoch.
    """
    epochs = content["epochs"]
    if not epochs:
        raise ValueError("`content` must hold at least one epoch. Received: content with 0 epochs")
    from matplotlib import colormaps
    from matplotlib.colors import LogNorm

    counts = np.maximum(np.array(content["class_counts"], "float64"), 1.0)
    norm = LogNorm(counts.min(), max(counts.max(), counts.min() * 1.01))
    colours = colormaps["viridis_r"]
    drawing = figure(14.0, 7.6)
    rows = drawing.subplots(2, 3)
    for (column, title), upper, lower in zip(_COLUMNS.items(), *rows, strict=True):
        values = np.array(content["values"][column], dtype="float64")
        for label in np.argsort(-counts, kind="stable"):
            upper.plot(epochs, values[:, label], color=colours(norm(counts[label])), linewidth=1.2)
        upper.set(title=title, xlabel="epoch of stage 1")
        upper.xaxis.get_major_locator().set_params(integer=True)
        lower.scatter(counts, values[-1], c=counts, cmap=colours, norm=norm, s=22)
        lower.set(xscale="log", xlabel=f"training images of the class, after epoch {epochs[-1]}")
        for axes in (upper, lower):
            if (values[np.isfinite(values)] > 0).all():
                axes.set_yscale("log")
            bare(axes)
    from matplotlib.cm import ScalarMappable

    bar = drawing.colorbar(ScalarMappable(norm, colours), ax=rows.ravel().tolist(), shrink=0.7)
    bar.set_label("training images of the class")
    settings = content["settings"]
    drawing.suptitle(
        f"w: {settings['weights']}, k = {settings['weights_count']:,}; r = "
        f"{settings['radius_scale'][-1]:g}; gradients of the mean cross-entropy of each class's "
        f"samples ({settings['samples']:,} in all)",
        fontsize=9,
        color=DARK,
    )
    return canvas.save(drawing, path)
