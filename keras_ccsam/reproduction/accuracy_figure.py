"""Figures 1 and 2: the accuracies of the rows, as bars."""

from collections.abc import Sequence
from pathlib import Path

from keras_ccsam.comparison.comparison import GROUPS, summary
from keras_ccsam.reproduction.figure import Figure
from keras_ccsam.reproduction.reproduction import ReproducedRow

_COLUMNS = ("overall", *GROUPS)


def accuracy_figure(rows: Sequence[ReproducedRow], name: str, folder: Path) -> Figure | None:
    """Draw what was trained; None where nothing was.

    Args:
        rows: of the figure; those without a result are left out.
        name: of the figure; the picture's name.
        folder: for the picture.
    """
    bars = [
        {"method": row.source.label, **{g: summary(row.result.values(g)) for g in _COLUMNS}}
        for row in rows
        if row.result is not None
    ]
    if not bars:
        return None
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    picture = plots.comparison(bars, folder / f"{name}.png", _COLUMNS)
    return Figure((picture,), (), "", {})
