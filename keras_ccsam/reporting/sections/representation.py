"""Lengths of the classifier's weights and of the features, and the features in the plane."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_ccsam.analysis.report.blocks import Block, Cell, Column, Figure, Key, Section, Table
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.analysis.report.scatter import Cloud, scatter
from keras_ccsam.analysis.report.svg import SERIES, series_class
from keras_ccsam.reporting.found_runs import FoundRun, Method, Runs
from keras_ccsam.reporting.wording import cell, known, legend, over_seeds

_AXES = {"pca": ("first component", "second"), "tsne": ("", "")}


def section(runs: Runs) -> Section:
    """Norms over counts with their correlation, and one projection per method."""
    title, name = "Representation", f"representation{runs.id}"
    seen = [m for m in runs.methods if all(_norms(run.predictions) for run in m.runs)]
    if not seen:
        return Section(
            name,
            title,
            "The features have not been looked at, or the network has no linear classifier. The "
            "test set is predicted once per run by",
            command="ccsam report RUN...",
        )
    blocks: list[Block] = [_norm_charts(runs, seen), _table(runs, seen)]
    planes = [m for m in seen if (m.first.predictions or {}).get("projection")]
    if planes:
        blocks.append(_planes(runs, planes))
    return Section(
        name,
        title,
        "After training on a long tail the classifier's weights are longer for frequent classes, "
        "and their logits larger. A second stage is meant to take that back.",
        blocks,
    )


def _norm_charts(runs: Runs, methods: list[Method]) -> Figure:
    panels = []
    for key, title in (
        ("weight_norms", "length of the classifier's weights"),
        ("feature_norms", "mean length of the features"),
    ):
        lines = []
        for index, method in enumerate(runs.methods):
            if method not in methods:
                continue
            line = _line(runs, method, key, index)
            if line is not None:
                lines.append(line)
        if lines:
            panels.append(
                line_chart(title, lines, "training images of the class", log_x=True, include_y=(0,))
            )
    several = any(len(m.runs) > 1 for m in methods)
    return Figure(
        panels,
        "One point per class, over its training images; features are those of the test samples."
        + (" Means over seeds, with a band from the lowest to the highest." if several else ""),
        [k for k, m in zip(legend(runs.methods), runs.methods, strict=True) if m in methods],
        "ccsam report RUN...",
    )


def _line(runs: Runs, method: Method, key: str, index: int) -> Line | None:
    found = [(_norms(run.predictions) or {})[key] for run in method.runs]
    counts = runs.class_counts
    # One output for two classes has one length and no place over the counts.
    if any(len(norms) != len(counts) for norms in found):
        return None
    order = [c for c in reversed(runs.by_count) if counts[c] > 0]
    values = [known(norms[c] for norms in found) for c in order]
    nan = float("nan")
    whole = len(method.runs) > 1
    return Line(
        method.name,
        [float(counts[c]) for c in order],
        [sum(v) / len(v) if v else nan for v in values],
        [min(v, default=nan) for v in values] if whole else (),
        [max(v, default=nan) for v in values] if whole else (),
        index,
    )


def _table(runs: Runs, methods: list[Method]) -> Table:
    rows = []
    for method in methods:
        found = [_norms(run.predictions) or {} for run in method.runs]
        rows.append(
            [
                Cell(method.name),
                cell([f["weight_norm_correlation"] for f in found]),
                cell([f["feature_norm_correlation"] for f in found]),
                cell([_ratio(runs, f["weight_norms"]) for f in found]),
            ]
        )
    columns = [
        Column("method", numeric=False),
        Column("weights and log count", note="Correlation over the classes, -1 to 1"),
        Column("features and log count", note="Correlation over the classes, -1 to 1"),
        Column("longest / shortest weights", note="The longest column of the kernel over the last"),
    ]
    return Table(
        columns,
        rows,
        "Correlation of the lengths with the logarithm of the training images, over classes: 1 "
        "means that lengths follow the counts, 0 that they do not. Then the longest weights of a "
        f"class over the shortest. {over_seeds(runs)}",
    )


def _ratio(runs: Runs, norms: Sequence[float]) -> float | None:
    if len(norms) != len(runs.class_counts) or not min(norms) > 0:
        return None
    return max(norms) / min(norms)


def _planes(runs: Runs, methods: list[Method]) -> Figure:
    """The first seed of each method, coloured by class, or by group where classes are many."""
    by_class = len(runs.class_counts) <= SERIES
    panels, kinds, samples = [], set(), 0
    planes: dict[bytes, tuple[list[str], FoundRun]] = {}
    for method in methods:
        points = method.first.arrays()["projection"]
        planes.setdefault(points.tobytes(), ([], method.first))[0].append(method.name)
    for names, run in planes.values():
        about: dict[str, Any] = (run.predictions or {})["projection"]
        arrays = run.arrays()
        points, labels = arrays["projection"], arrays["labels"][arrays["projected"]]
        if by_class:
            members = [(runs.class_names[c], [c], n) for n, c in enumerate(runs.by_count)]
        else:
            series = {"many": 0, "medium": 1, "few": 3}
            members = [
                (name, classes, series.get(name, 2)) for name, classes in runs.group_classes.items()
            ]
        clouds = [Cloud(name, points[np.isin(labels, c)], n) for name, c, n in members]
        clouds = [cloud for cloud in clouds if len(cloud.points)]
        x_label, y_label = _AXES.get(about["method"], ("", ""))
        if about["explained"]:
            x_label += f" ({100 * about['explained'][0]:.0f} % of the variance)"
            y_label += f" ({100 * about['explained'][1]:.0f} %)"
        panels.append(scatter(", ".join(names), clouds, x_label, y_label, bare=True))
        kinds.add(about["method"])
        samples = max(samples, about["samples"])
    words = {
        "pca": "Principal components: the two directions in which the features vary most. What "
        "lies together here may be apart in the others.",
        "tsne": "t-SNE: neighbours stay neighbours; neither the size of a cluster nor the distance "
        "between two means anything.",
    }
    if len(planes) < len(methods):
        words["same"] = "Methods that share a frozen network share a panel."
        kinds.add("same")
    shown = [(name, n) for name, _, n in members]
    return Figure(
        panels,
        f"Features of {samples} test samples, equally many of each class, of the first seed of "
        f"each method. {' '.join(words[kind] for kind in words if kind in kinds)}",
        [Key(name, series_class(n), dot=True) for name, n in shown],
        f"ccsam report RUN... --projection {min(kinds - {'same'})}",
    )


def _norms(predictions: dict[str, Any] | None) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (predictions or {}).get("representation")
    return found
