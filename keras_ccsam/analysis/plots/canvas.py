"""Canvas, colours, ticks and files that the figures share.

Figures have a canvas of their own, so neither pyplot's state nor the backend that a notebook has
chosen is touched, and matplotlib is imported with the first figure.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from keras_ccsam import atomic

PathLike: TypeAlias = str | os.PathLike[str]

# Okabe and Ito's colours, which readers with any of the common colour deficiencies tell apart.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000", "#8C8C8C")
HATCHES = ("", "//", "..", "xx")
DARK = "#303030"
GREY = "#8C8C8C"

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
    """Writes a PNG, whole or not at all, and returns its path."""
    with atomic.replacing(path) as temporary:
        made.savefig(temporary, format="png", bbox_inches="tight", pad_inches=0.08)
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
    return [str(name) for name in class_names]


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
