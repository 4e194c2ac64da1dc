"""Every method in one table, and every seed as a dot."""

from typing import Any

from keras_ccsam.analysis.report.blocks import Cell, Column, Figure, Section, Table
from keras_ccsam.analysis.report.dots import dot_rows
from keras_ccsam.analysis.report.profile import profile
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.wording import NONE, best_of, cell, known, over_seeds, plural, seeds_text

_NOTES = {
    "overall": "Share of the test samples that are right",
    "balanced": "Mean of the accuracies of the classes",
    "worst": "Accuracy of the class with the lowest accuracy",
    "ece": "Expected calibration error, 15 bins",
}


def section(runs: Runs) -> Section:
    """The table, with a row of small bars for the classes, and the dots."""
    groups = list(runs.group_classes)
    return Section(
        f"summary{runs.id}",
        "Summary",
        f"{plural(len(runs.methods), 'method')} on {runs.name}, {seeds_text(runs)}. "
        f"{plural(len(runs.class_counts), 'class', 'classes')} of {max(runs.class_counts)} down to "
        f"{min(runs.class_counts)} training images, {sum(runs.test_samples)} test images.",
        [_table(runs, groups), _dots(runs, groups), _cost(runs)],
    )


def _table(runs: Runs, groups: list[str]) -> Table:
    several = len(runs.methods) > 1
    wanted: list[tuple[Column, tuple[str, ...], float, bool]] = [
        (Column("overall", note=_NOTES["overall"]), ("test", "overall"), 100.0, False),
        *(
            (
                Column(name, note=f"Mean accuracy of the {len(runs.group_classes[name])} classes"),
                ("test", "groups", name),
                100.0,
                False,
            )
            for name in groups
        ),
        *(
            [(Column("balanced", note=_NOTES["balanced"]), ("test", "balanced"), 100.0, False)]
            if len({n for n in runs.test_samples if n}) > 1
            else []
        ),
        (Column("worst", note=_NOTES["worst"]), ("test", "worst"), 100.0, False),
        (Column("ECE", note=_NOTES["ece"]), ("test", "ece"), 100.0, True),
    ]
    columns = [Column("method", numeric=False)]
    rows: list[list[Cell]] = [
        [Cell(m.name, note=str(m.first.recipe.get("description", "")))] for m in runs.methods
    ]
    for column, keys, scale, lowest in wanted:
        values = [method.values(*keys) for method in runs.methods]
        if not any(known(v) for v in values):
            continue
        columns.append(column)
        tops = best_of(values, lowest) if several else [False] * len(values)
        for row, numbers, top in zip(rows, values, tops, strict=True):
            row.append(cell(numbers, scale, best=top))
    columns.append(Column("by class", numeric=False, note="Most frequent first"))
    for index, (row, method) in enumerate(zip(rows, runs.methods, strict=True)):
        shares = class_means(method)
        order = [shares[c] for c in runs.by_count]
        label = f"{method.name}: accuracy of each class, most frequent first"
        overall = method.values("test", "balanced")[0]
        row.append(Cell("", overall, picture=profile(order, label, index)))
    return Table(
        columns,
        rows,
        f"Test accuracy in percent after the last epoch. {over_seeds(runs)} Bold: the best mean, "
        "which need not be a better method; what follows from it stands below. The bars are the "
        "accuracy of each class from the most to the least frequent one.",
    )


def _dots(runs: Runs, groups: list[str]) -> Figure:
    panels = []
    shown = [("overall", ("test", "overall")), *((g, ("test", "groups", g)) for g in groups)]
    for name, keys in shown:
        rows = [(m.name, [100 * v for v in known(m.values(*keys))]) for m in runs.methods]
        if any(values for _, values in rows):
            panels.append(dot_rows(name, rows, "accuracy (%)", " %", most=100.0))
    return Figure(
        panels,
        "Each dot is one seed, the upright stroke their mean. The axes differ from panel to panel.",
        command=runs.command,
    )


def _cost(runs: Runs) -> Table:
    """What each method took, and where it stood before its second stage."""
    rows = []
    for method in runs.methods:
        results = method.first.results
        epochs, size = results.get("epochs", {}), results.get("parameters")
        seconds = [_seconds(run.results) for run in method.runs]
        second = "stage2" in method.first.recipe
        rows.append(
            [
                Cell(method.name),
                Cell(str(len(method.runs)), len(method.runs)),
                Cell(str(epochs.get("stage1", 0)), epochs.get("stage1", 0)),
                Cell(str(epochs.get("stage2", 0)) if second else NONE, epochs.get("stage2", 0)),
                cell(method.values("stage1", "overall"), 100.0),
                cell(method.values("ms_per_step")),
                cell(seconds, digits=1),
                Cell(NONE, "nan") if size is None else Cell(str(size), size),
            ]
        )
    columns = [
        Column("method", numeric=False),
        Column("seeds"),
        Column("epochs"),
        Column("of stage 2"),
        Column("after stage 1 (%)", note="Overall test accuracy before the second stage"),
        Column("ms/step", note="Of stage 1, median over the epochs after the first"),
        Column("seconds", note="Of all training steps, of both stages"),
        Column("parameters"),
    ]
    return Table(
        columns,
        rows,
        "What it took. A first stage that was taken over from another run counts with its own "
        "time. Times are of the machine below, and only as steady as that was.",
    )


def _seconds(results: dict[str, Any]) -> float | None:
    stages = [v for v in results.get("seconds", {}).values() if v is not None]
    return float(sum(stages)) if stages else None


def class_means(method: Method) -> list[float | None]:
    """The accuracy of each class, as the mean over seeds."""
    columns = zip(*(run.test["per_class"] for run in method.runs), strict=True)
    means = []
    for values in columns:
        numbers = known(values)
        means.append(sum(numbers) / len(numbers) if numbers else None)
    return means
