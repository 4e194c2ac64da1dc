"""Figure 3: training loss, test loss and Theorem 1's bound over the epochs of stage 1."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam import text_table as table
from keras_ccsam.reproduction.figure import Figure
from keras_ccsam.runs.run_directory import RunDirectory, read_json

RECORD = "bound"
"""What the runs of the figure must record."""

_COLUMNS = {
    "training loss": "train_zero_one",
    "test loss": "test_zero_one",
    "bound (16)": "bound_16_zero_one",
    "square-root term": "root_16",
}


def bound_figure(runs: Mapping[str, Sequence[Path]], name: str, folder: Path) -> Figure:
    """Draw what the runs recorded, or say which of them recorded nothing.

    Args:
        runs: label of a row -> its finished runs, one per seed.
        name: of the figure; the picture's name.
        folder: for the picture.
    """
    files = {
        label: [RunDirectory(path).analysis / f"{RECORD}.json" for path in paths]
        for label, paths in runs.items()
    }
    absent = [str(f.parent.parent) for own in files.values() for f in own if not f.is_file()]
    if absent:
        text = (
            "No curves: these runs were trained before without recording the bound, so name "
            f"another folder to train them again: {', '.join(absent)}."
        )
        return Figure((), (), text, {"without_record": absent})
    records = {label: [read_json(file) for file in own] for label, own in files.items()}
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    first = next(iter(records.values()))[0]
    picture = plots.bound(first, folder / f"{name}.png")
    seeds = {label: [_of_seed(record) for record in own] for label, own in records.items()}
    header = ["row", *_COLUMNS, "epochs with the term below 1"]
    rows = [
        [
            label,
            *(table.mean_std([seed[column] for seed in own]) for column in _COLUMNS),
            table.mean_std([seed["below"] for seed in own], 100.0, 0) + " %",
        ]
        for label, own in seeds.items()
    ]
    settings, label = first["settings"], first["classes"][0]
    caption = (
        f"Class {first['class_names'][label]} ({first['class_counts'][label]} training images), "
        f"0-1 loss, after the last epoch of stage 1; delta {settings['delta']:g}; w are "
        f"{settings['weights_count']} weights ({settings['weights']}). The bound is that of the "
        "characteristic radius, r = 1, which is not the radius trained with. The appendix calls "
        "the square-root term below 1 most of the time. The picture shows the first seed."
    )
    return Figure((picture,), ((header, rows),), caption, {"seeds": seeds})


def _of_seed(record: Mapping[str, Any]) -> dict[str, float | None]:
    """Return the values after the last epoch, and the share of epochs with a root term below 1."""

    def column(key: str) -> list[float | None]:
        return [row[0] for row in record["values"][key]]

    roots = np.array(column("root_16"), "float64")
    last = {name: column(key)[-1] for name, key in _COLUMNS.items()}
    return {**last, "below": float(np.mean(roots < 1.0))}
