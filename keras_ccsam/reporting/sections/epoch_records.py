"""What was recorded epoch by epoch in a run's `analysis`: values[column][epoch][class]."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ccsam.analysis.report.line_chart import Line
from keras_ccsam.reporting.found_runs import Runs

FORMAT = 1
# A method's name to one file per seed.
Found = Mapping[str, Sequence[dict[str, Any]]]


def records(runs: Runs, kind: str, *files: str) -> dict[str, list[dict[str, Any]]]:
    """The files of this kind that have at least one epoch, of each run the first that is there."""
    found: dict[str, list[dict[str, Any]]] = {}
    for method in runs.methods:
        for run in method.runs:
            content = next((c for file in files if (c := run.analysis(file))), None)
            known = content and content.get("kind") == kind and content.get("format") == FORMAT
            if content and known and content.get("epochs"):
                found.setdefault(method.name, []).append(content)
    return found


def over_epochs(
    many: Sequence[dict[str, Any]], column: str, label: int, name: str, series: int
) -> Line | None:
    """A column of one class over the epochs: the mean over seeds, with a band.

    Args:
        many: one file per seed.
        column: of `values`.
        label: the class.
        name: of the line.
        series: its colour.
    """
    columns: dict[int, list[float]] = {}
    for content in many:
        values = content["values"].get(column, [])
        for epoch, row in zip(content["epochs"], values, strict=False):
            value = _value(content, row, label)
            if value is not None:
                columns.setdefault(int(epoch), []).append(value)
    if not columns:
        return None
    epochs = sorted(columns)
    several = len(many) > 1
    return Line(
        name,
        [float(epoch) for epoch in epochs],
        [sum(columns[e]) / len(columns[e]) for e in epochs],
        [min(columns[e]) for e in epochs] if several else (),
        [max(columns[e]) for e in epochs] if several else (),
        series,
    )


def over_counts(
    runs: Runs, many: Sequence[dict[str, Any]], column: str, name: str, series: int
) -> Line | None:
    """A column after the last epoch over the training images of the classes, or nothing."""
    points = []
    for c in reversed(runs.by_count):
        values = [v for content in many if (v := last(content, column, c)) is not None]
        if values and runs.class_counts[c]:
            points.append((float(runs.class_counts[c]), sum(values) / len(values), values))
    if not points:
        return None
    several = len(many) > 1
    return Line(
        name,
        [n for n, _, _ in points],
        [middle for _, middle, _ in points],
        [min(values) for _, _, values in points] if several else (),
        [max(values) for _, _, values in points] if several else (),
        series,
    )


def last(content: dict[str, Any], column: str, label: int) -> float | None:
    """A column of one class after the last epoch."""
    values = content["values"].get(column) or [[]]
    return _value(content, values[-1], label)


def _value(content: dict[str, Any], row: Sequence[float | None], label: int) -> float | None:
    """A class's number within an epoch's list; None where it has none."""
    classes = content.get("classes") or list(range(len(row)))
    place = classes.index(label) if label in classes else len(row)
    value = row[place] if place < len(row) else None
    return None if value is None or not math.isfinite(value) else float(value)
