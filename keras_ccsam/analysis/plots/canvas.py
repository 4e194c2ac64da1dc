"""Canvas, colours, ticks and files that the figures share.

Figures have a canvas of their own, so neither pyplot's state nor the backend that a notebook has
chosen is touched, and matplotlib is imported with the first figure.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from keras_ccsam import atomic
from keras_ccsam.text_table import shown

PathLike: TypeAlias = str | os.PathLike[str]

# Okabe and Ito's colours, which readers with any of the common colour deficiencies tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#8C8C8C")
HATCHES = ("", "//", "..", "xx")
DARK = "#303030"
GREY = "#8C8C8C"

_NAME = 40  # characters of a name at most
_MARGIN = 0.08  # inches of white around a picture

NAMED_CLASSES = 20
"""Up to so many classes are named on an axis; of more, every tenth is numbered."""


def figure(width: float, height: float) -> Any:
    """A matplotlib figure of so many inches, at 150 dots an inch."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(made)
    return made


def save(made: Any, path: PathLike) -> Path:
    """Writes a PNG, whole or not at all, cut to what is drawn, and returns its path.

    It is drawn once and then cut: `bbox_inches="tight"` draws it twice, and is left to pictures of
    which something lies outside the figure.
    """
    from PIL import Image

    made.canvas.draw()
    extent = made.get_tightbbox(made.canvas.get_renderer())
    pixels = np.asarray(made.canvas.buffer_rgba())[..., :3]
    height, width = pixels.shape[:2]
    left, below, right, above = (float(v) * made.dpi for v in extent.extents)
    with atomic.replacing(path) as temporary:
        if left < 0 or below < 0 or right > width or above > height:
            made.savefig(temporary, format="png", bbox_inches="tight", pad_inches=_MARGIN)
            return Path(path)
        pad = _MARGIN * made.dpi
        rows = slice(max(0, math.floor(height - above - pad)), math.ceil(height - below + pad))
        columns = slice(max(0, math.floor(left - pad)), math.ceil(right + pad))
        Image.fromarray(pixels[rows, columns]).save(temporary, dpi=(made.dpi, made.dpi))
    return Path(path)


def bare(axes: Any, grid: bool = True) -> None:
    """Takes the frame off at the top and the right, and draws light horizontal lines behind."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if grid:
        axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)


def names_of(class_names: Sequence[str] | None, count: int) -> list[str]:
    """The classes' names, or their numbers.

    Raises:
        ValueError: A number of names that is not the number of classes.
    """
    if class_names is None:
        return [str(index) for index in range(count)]
    if len(class_names) != count:
        raise ValueError(
            f"`class_names` must have {count} entries. "
            f"Received: class_names with {len(class_names)} entries"
        )
    return [literal(str(name)) for name in class_names]


def literal(name: str) -> str:
    """A name as it is, on one line and not longer than a picture has room for.

    Between dollars matplotlib reads formulas, and fails at what is none.
    """
    text = shown(name)
    text = text if len(text) <= _NAME else f"{text[: _NAME - 1]}\u2026"
    return text.replace("$", r"\$")


def class_ticks(axis: Any, names: Sequence[str], label: str) -> None:
    """Labels an axis with classes: every name, or the position of every tenth (hundredth)."""
    if len(names) > NAMED_CLASSES:
        axis.set_ticks(range(0, len(names), 10 if len(names) <= 200 else 100))
    else:
        axis.set_ticks(range(len(names)), labels=names)
        if axis.axis_name == "x" and max(map(len, names)) > 3:
            for text in axis.get_ticklabels():
                text.set(rotation=45, ha="right", rotation_mode="anchor")
    axis.set_label_text(label)
