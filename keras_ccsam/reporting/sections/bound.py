"""Theorem 1's bound beside the losses it bounds, over the epochs of stage 1."""

from typing import Any

from keras_ccsam.analysis.report.blocks import (
    Block,
    Cell,
    Column,
    Figure,
    Key,
    Section,
    Table,
    Tabs,
)
from keras_ccsam.analysis.report.line_chart import line_chart
from keras_ccsam.analysis.report.svg import series_class
from keras_ccsam.reporting.found_runs import Runs
from keras_ccsam.reporting.sections.epoch_records import (
    Found,
    last,
    over_counts,
    over_epochs,
    records,
)
from keras_ccsam.reporting.wording import NONE, cell, legend

FILES = ("bound.json", "bound-checkpoint.json")
COMMAND = "ccsam bound RUN"
_LINES = (
    ("train_zero_one", "training error", 0),
    ("test_zero_one", "test error", 1),
    ("root_16", "square-root term", 7),
    ("bound_15_zero_one", "bound (15)", 2),
    ("bound_16_zero_one", "bound (16)", 3),
)


def section(runs: Runs) -> Section:
    """One panel per method and class, and where the bound stands in the end."""
    name, title = f"bound{runs.id}", "Bound"
    found = records(runs, "bound", *FILES)
    if not found:
        return Section(
            name,
            title,
            "The bound of Theorem 1 was not evaluated. ccsam train --record bound,radius does it "
            "after each epoch, and of the end of stage 1",
            command=COMMAND,
        )
    epochs = max(len(one["epochs"]) for many in found.values() for one in many)
    tabs: list[tuple[str, list[Block]]] = []
    for label in _chosen(runs, found):
        # A single epoch is no curve.
        inner: list[Block] = [_chart(found, label)] if epochs > 1 else []
        tabs.append((f"class {runs.class_names[label]}", [*inner, _table(found, label)]))
    blocks: list[Block] = [Tabs("Class", tabs)]
    over_counts = _over_counts(runs, found)
    if over_counts is not None:
        blocks.append(over_counts)
    return Section(
        name,
        title,
        "Theorem 1 bounds the test loss of a class by its loss at the worst point nearby and a "
        "square-root term. Below 1 it says something; above it, nothing.",
        blocks,
    )


def _chosen(runs: Runs, found: Found) -> list[int]:
    """Of the classes recorded the most frequent, the rarest, and one in the middle."""
    known = {int(c) for many in found.values() for one in many for c in one["classes"]}
    order = [c for c in runs.by_count if c in known]
    return list(dict.fromkeys((order[0], order[len(order) // 2], order[-1])))


def _over_counts(runs: Runs, found: Found) -> Figure | None:
    """The final form after the last epoch of every class, over its training images."""
    panels = []
    for column, title in (("bound_16_zero_one", "bound (16), 0-1 loss"), ("root_16", "its root")):
        lines = []
        for index, method in enumerate(runs.methods):
            line = over_counts(runs, found.get(method.name, ()), column, method.name, index)
            if line is not None and len(line.x) > 2:
                lines.append(line)
        if lines:
            panels.append(
                line_chart(title, lines, "training images of the class", log_x=True, log_y=True)
            )
    if not panels:
        return None
    keys = [key for key in legend(runs.methods) if key.name in found]
    return Figure(
        panels,
        "One point per class, after the last epoch of stage 1. From 1 on it says nothing.",
        keys,
        COMMAND,
    )


def _chart(found: Found, label: int) -> Figure:
    panels, used = [], set()
    for method, many in found.items():
        lines = []
        for column, words, series in _LINES:
            line = over_epochs(many, column, label, words, series)
            if line is not None:
                lines.append(line)
                used.add(words)
        if lines:
            known = [v for line in lines for v in line.y if v > 0]
            log = bool(known) and max(known) > 5
            panels.append(line_chart(method, lines, "epoch", "0-1 loss", log_y=log))
    keys = [Key(words, series_class(series)) for _, words, series in _LINES if words in used]
    return Figure(panels, f"{_class(found, label)}, 0-1 loss. {_how(found)}", keys, COMMAND)


def _table(found: Found, label: int) -> Table:
    rows = []
    for method, many in found.items():
        row = [Cell(method)]
        for column in ("train_zero_one", "test_zero_one", "root_16"):
            row.append(cell([last(c, column, label) for c in many], digits=3))
        for column in ("bound_15_zero_one", "bound_16_zero_one", "bound_16_clipped"):
            row.append(cell([last(c, column, label) for c in many], digits=3))
        ends = [last(c, "bound_16_zero_one", label) for c in many]
        below = sum(end is not None and end < 1 for end in ends)
        words = f"{below} of {len(ends)}" if len(ends) > 1 else ("no", "yes")[below]
        row.append(Cell(words if any(e is not None for e in ends) else NONE, below))
        rows.append(row)
    columns = [
        Column("method", numeric=False),
        Column("training error"),
        Column("test error"),
        Column("square-root term"),
        Column("(15)", note="The intermediate form, of the 0-1 loss"),
        Column("(16)", note="The final form, of the 0-1 loss"),
        Column("(16), clipped", note="The final form, of cross-entropy clipped at 1"),
        Column("below 1", note="Whether (16) of the 0-1 loss says anything"),
    ]
    return Table(
        columns,
        rows,
        f"{_class(found, label)}, after the last epoch of stage 1. {_seeds(found)} {_how(found)}",
    )


def _seeds(found: Found) -> str:
    most = max(map(len, found.values()))
    return "One seed each." if most == 1 else f"Mean ± standard deviation, up to {most} seeds."


def _class(found: Found, label: int) -> str:
    first = next(iter(found.values()))[0]
    names, counts = first["class_names"], first["class_counts"]
    return f"Class {names[label]}, {counts[label]} training images"


def _how(found: Found) -> str:
    settings: dict[str, Any] = next(iter(found.values()))[0]["settings"]
    text = (
        f"Weights: {settings['weights']} ({settings['weights_count']}); δ = {settings['delta']:g}; "
        f"radius: {settings['radius']}; worst point: {settings['worst_point']}; BatchNorm: "
        f"{settings['batch_norm']}."
    )
    return text if settings.get("has_test", True) else f"{text} There was no test set."
