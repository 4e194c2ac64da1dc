"""Accuracy of each class over its training images."""

from keras_ccsam.analysis.report.axes import Frame
from keras_ccsam.analysis.report.blocks import Cell, Column, Figure, Section, Table
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.analysis.report.svg import cut
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.sections.summary import class_means
from keras_ccsam.reporting.wording import cell, legend, over_seeds

NAMED = 20
LONG = 16


def section(runs: Runs) -> Section:
    """A chart over the classes by frequency, and a table to sort and to search."""
    return Section(
        f"classes{runs.id}",
        "Accuracy per class",
        "The average hides who pays for it. Classes are in the order of their training images, "
        "the most frequent one first.",
        [_chart(runs), _table(runs)],
    )


def _chart(runs: Runs) -> Figure:
    order, counts = runs.by_count, runs.class_counts
    places = list(range(len(order)))
    if len(order) <= NAMED:
        most = max(3, 105 // len(order))
        names = [runs.class_names[c] for c in order]
        ticks = [(float(p), f"{cut(n, most)}") for p, n in zip(places, names, strict=True)]
    else:
        step = 10 if len(order) <= 200 else 100
        ticks = [(float(p), f"{counts[order[p]]}") for p in places[::step]]
    lines = [_line(runs, method, index) for index, method in enumerate(runs.methods)]
    edges = _edges(runs)
    named = "class" if len(order) <= NAMED else "class, by its training images"
    frame = Frame(width=720.0, height=310.0, right=708.0, top=44.0, bottom=268.0)
    panel = line_chart(
        "",
        lines,
        named,
        "accuracy (%)",
        frame=frame,
        y_range=(-2.0, 102.0),
        x_ticks=ticks,
        marks=edges,
        wide=True,
    )
    several = any(len(method.runs) > 1 for method in runs.methods)
    band = " The band is from the lowest to the highest seed." if several else ""
    return Figure(
        [panel],
        f"Test accuracy of each class in percent, mean over seeds.{band} Dotted lines part the "
        f"groups: {', '.join(f'{n} ({len(c)})' for n, c in runs.group_classes.items())}.",
        legend(runs.methods),
        runs.command,
    )


def _line(runs: Runs, method: Method, index: int) -> Line:
    means = class_means(method)
    nan = float("nan")
    place = [float(p) for p in range(len(means))]
    seeds = [[run.test["per_class"][c] for run in method.runs] for c in runs.by_count]
    whole = [[100 * v for v in values if v is not None] for values in seeds]
    return Line(
        method.name,
        place,
        [nan if means[c] is None else 100 * (means[c] or 0.0) for c in runs.by_count],
        [min(v, default=nan) for v in whole] if len(method.runs) > 1 else (),
        [max(v, default=nan) for v in whole] if len(method.runs) > 1 else (),
        index,
    )


def _edges(runs: Runs) -> list[tuple[float, str]]:
    groups = [runs.group_of(c) for c in runs.by_count]
    starts = [p for p in range(1, len(groups)) if groups[p] != groups[p - 1]]
    # Groups that were listed by hand need not follow the counts.
    if len(starts) >= len(runs.group_classes):
        return []
    return [(p - 0.5, groups[max(p, 0)]) for p in (-1, *starts)] if starts else []


def _table(runs: Runs) -> Table:
    columns = [
        Column("class", numeric=False),
        Column("train", note="Training images"),
        Column("test", note="Test images"),
        *(Column(method.name) for method in runs.methods),
    ]
    tests = runs.test_samples
    rows = []
    for index in runs.by_count:
        row = [
            Cell(
                runs.class_names[index],
                group=runs.group_of(index),
                note=f"class {index}, {runs.group_of(index) or 'no group'}",
            ),
            Cell(str(runs.class_counts[index]), runs.class_counts[index]),
            Cell(str(tests[index]), tests[index]),
        ]
        for method in runs.methods:
            values = [run.test["per_class"][index] for run in method.runs]
            row.append(cell(values, 100.0, 1))
        rows.append(row)
    return Table(
        columns,
        rows,
        f"Test accuracy in percent. {over_seeds(runs)} A heading sorts. The mark is the group: "
        "blue many, orange medium, red few.",
        search="class",
        scroll=len(rows) > LONG,
    )
