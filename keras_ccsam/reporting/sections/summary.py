"""Every method in one table, and every seed as a dot."""

from keras_ccsam.analysis.report.blocks import Cell, Column, Figure, Section, Table
from keras_ccsam.analysis.report.dots import dot_rows
from keras_ccsam.analysis.report.profile import profile
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.wording import best_of, cell, known, over_seeds, plural, seeds_text

_NOTES = {
    "overall": "Share of the test samples that are right",
    "balanced": "Mean of the accuracies of the classes",
    "worst": "Accuracy of the class with the lowest accuracy",
    "ece": "Expected calibration error, 15 bins",
    "stage1": "Overall accuracy before the second stage",
    "ms": "Milliseconds per training step of stage 1, median over epochs",
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
        [_table(runs, groups), _dots(runs, groups)],
    )


def _table(runs: Runs, groups: list[str]) -> Table:
    several = len(runs.methods) > 1
    two_stages = any("stage2" in run.recipe for run in runs.all)
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
    if two_stages:
        column = Column("after stage 1", note=_NOTES["stage1"])
        wanted.append((column, ("stage1", "overall"), 100.0, False))
    wanted.append((Column("ms/step", note=_NOTES["ms"]), ("ms_per_step",), 1.0, True))
    columns = [Column("method", numeric=False), Column("seeds")]
    rows: list[list[Cell]] = [
        [Cell(m.name, note=str(m.first.recipe.get("description", ""))), Cell(str(len(m.runs)))]
        for m in runs.methods
    ]
    for column, keys, scale, lowest in wanted:
        values = [method.values(*keys) for method in runs.methods]
        if not any(known(v) for v in values):
            continue
        columns.append(column)
        marked = several and keys != ("ms_per_step",) and keys[0] != "stage1"
        tops = best_of(values, lowest) if marked else [False] * len(values)
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
            panels.append(dot_rows(name, rows, "accuracy (%)", " %"))
    return Figure(
        panels,
        "Each dot is one seed, the upright stroke their mean. The axes differ from panel to panel.",
    )


def class_means(method: Method) -> list[float | None]:
    """The accuracy of each class, as the mean over seeds."""
    columns = zip(*(run.test["per_class"] for run in method.runs), strict=True)
    means = []
    for values in columns:
        numbers = known(values)
        means.append(sum(numbers) / len(numbers) if numbers else None)
    return means
