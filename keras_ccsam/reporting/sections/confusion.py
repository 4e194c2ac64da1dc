"""What is taken for what, and how much of the tail ends up in the head."""

from typing import Any

import numpy as np

from keras_ccsam.analysis.leakage import Leakage, leakage
from keras_ccsam.analysis.report.blocks import Block, Cell, Column, Figure, Section, Table, Tabs
from keras_ccsam.analysis.report.heat_map import NAMED, heat_map
from keras_ccsam.metrics.confusion import read
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.wording import cell, over_seeds

MOST = 200
"""Of more classes a matrix is no picture any more; the table of groups stays."""


def section(runs: Runs) -> Section:
    """Leakage between the groups as numbers, and the matrix of each method."""
    blocks: list[Block] = []
    if {"many", "few"} <= set(runs.group_classes):
        blocks.append(_leaks(runs))
    if len(runs.class_counts) <= MOST:
        tabs = [(m.name, [_matrix(runs, m)]) for m in runs.methods]
        blocks.append(Tabs("Method", tabs))
    return Section(
        f"confusion{runs.id}",
        "Confusion and leakage",
        "Tail to head: the share of test samples of the classes with few images that are taken "
        "for a class with many. Head to tail: the share of those with many that are taken for one "
        "with few.",
        blocks,
    )


def _leaks(runs: Runs) -> Table:
    rows = []
    for method in runs.methods:
        found = [_leakage(run.test["confusion"], runs) for run in method.runs]
        rows.append(
            [
                Cell(method.name),
                cell([leak.tail_to_head for leak in found], 100.0),
                cell([leak.of("few", "medium") for leak in found], 100.0),
                cell([leak.of("medium", "many") for leak in found], 100.0),
                cell([leak.head_to_tail for leak in found], 100.0),
            ]
        )
    columns = [
        Column("method", numeric=False),
        Column("tail to head", note="few taken for many"),
        Column("few to medium"),
        Column("medium to many"),
        Column("head to tail", note="many taken for few"),
    ]
    return Table(
        columns,
        rows,
        f"Percent of a group's test samples predicted as a class of another group. "
        f"{over_seeds(runs)}",
    )


def _leakage(confusion: Any, runs: Runs) -> Leakage:
    return leakage(read(confusion), runs.group_classes)


def _matrix(runs: Runs, method: Method) -> Figure:
    """The rows of all seeds together, each in percent of its class, most frequent first."""
    order = runs.by_count
    found = [read(run.test["confusion"]) for run in method.runs]
    counts = np.sum(found, axis=0).astype("float64")
    counts = counts[np.ix_(order, order)]
    total = counts.sum(axis=1, keepdims=True)
    share = np.divide(counts, total, where=total > 0, out=np.full_like(counts, np.nan))
    names = [runs.class_names[c] for c in order]
    many = len(order) > NAMED
    panel = heat_map("between the classes", share, names, "predicted class", "true class")
    members = {n: [order.index(c) for c in g] for n, g in runs.group_classes.items()}
    groups = leakage(counts, members)
    between = heat_map("between the groups", groups.share, groups.groups, "", "")
    seeds = "one seed" if len(method.runs) == 1 else f"{len(method.runs)} seeds together"
    return Figure(
        [panel, between] if len(groups.groups) > 1 else [panel],
        f"{method.name}, {seeds}: each row is a true class in percent of its test samples, classes "
        "from the most to the least frequent. Below the diagonal rare classes are taken for "
        "frequent ones."
        + (" Shades follow the root of the share, or single errors would not be seen." * many),
    )
