"""Confidence beside accuracy, overall and per group."""

from typing import Any

from keras_ccsam.analysis.report.blocks import Block, Cell, Column, Figure, Section, Table
from keras_ccsam.analysis.report.reliability import reliability
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.wording import best_of, cell, over_seeds

_NUMBERS = (
    ("ece", "ECE (%)", 100.0, 2, "Expected calibration error, 15 right-closed bins"),
    ("mce", "MCE (%)", 100.0, 2, "The largest gap of a bin, however few samples it has"),
    ("nll", "NLL", 1.0, 3, "Mean negative log-likelihood of the label, in nats"),
    ("brier", "Brier", 1.0, 3, "Mean squared error of the probabilities, 0 to 2"),
)


def section(runs: Runs) -> Section:
    """Reliability diagrams of every method, and a table of four numbers."""
    title, name = "Calibration", f"calibration{runs.id}"
    predicted = [m for m in runs.methods if all(run.predictions for run in m.runs)]
    if not predicted:
        return Section(
            name,
            title,
            "Only the ECE of the summary is known. The test set is predicted once per run, for "
            "this and for the representation, by",
            command="ccsam report RUN...",
        )
    blocks: list[Block] = [_diagrams(runs, predicted), _table(runs, predicted)]
    groups = _group_table(runs, predicted)
    if groups is not None:
        blocks.append(groups)
    return Section(
        name,
        title,
        "Is a model that is 90 % sure right in 90 % of the cases? On a long tail mostly not where "
        "images are few.",
        blocks,
    )


def _diagrams(runs: Runs, methods: list[Method]) -> Figure:
    panels = []
    for index, method in enumerate(runs.methods):
        if method in methods:
            samples, accuracy, confidence = _pooled(method)
            panels.append(reliability(method.name, samples, accuracy, confidence, index))
    pooled = any(len(m.runs) > 1 for m in methods)
    return Figure(
        panels,
        "Accuracy of the test samples by their confidence, in 15 bins. Reddish above a bar: by so "
        "much the confidence exceeds the accuracy. Pale within a bar: by so much it falls short. "
        "Faint bars have less than 1 % of the samples; the strip below shows how many each has."
        + (" The samples of all seeds are put together." if pooled else ""),
        command="ccsam report RUN...",
    )


def _pooled(method: Method) -> tuple[list[int], list[float | None], list[float | None]]:
    parts = [_part(run.predictions, None) for run in method.runs]
    samples = [sum(n) for n in zip(*(p["bin_samples"] for p in parts), strict=True)]
    means = []
    for key in ("bin_accuracy", "bin_confidence"):
        sums = [
            sum(n * (v or 0.0) for n, v in zip(ns, vs, strict=True))
            for ns, vs in zip(
                zip(*(p["bin_samples"] for p in parts), strict=True),
                zip(*(p[key] for p in parts), strict=True),
                strict=True,
            )
        ]
        means.append([s / n if n else None for s, n in zip(sums, samples, strict=True)])
    return samples, means[0], means[1]


def _table(runs: Runs, methods: list[Method]) -> Table:
    rows = [[Cell(method.name)] for method in methods]
    for key, _, scale, digits, _ in _NUMBERS:
        values = [[_part(run.predictions, None)[key] for run in m.runs] for m in methods]
        for row, numbers, top in zip(rows, values, best_of(values, lowest=True), strict=True):
            row.append(cell(numbers, scale, digits, best=top))
    columns = [Column("method", numeric=False)]
    columns += [Column(name, note=note) for _, name, _, _, note in _NUMBERS]
    return Table(columns, rows, f"On the test set; lower is better. {over_seeds(runs)}")


def _group_table(runs: Runs, methods: list[Method]) -> Table | None:
    groups = [g for g in runs.group_classes if _has(methods, g)]
    if not groups:
        return None
    columns = [Column("method", numeric=False)]
    rows = [[Cell(method.name)] for method in methods]
    for group in groups:
        for key, title in (("ece", "ECE"), ("excess", "over")):
            note = (
                f"ECE of the samples of the classes with {group} images"
                if key == "ece"
                else "Mean confidence less accuracy: above 0 is overconfident"
            )
            columns.append(Column(f"{group} {title}", note=note))
            for row, method in zip(rows, methods, strict=True):
                parts = [_part(run.predictions, group) for run in method.runs]
                numbers = [
                    p["ece"] if key == "ece" else p["confidence"] - p["accuracy"] for p in parts
                ]
                row.append(cell(numbers, 100.0))
    return Table(
        columns,
        rows,
        "Of the samples of each group's classes, in percent. Over: mean confidence less accuracy, "
        "above 0 where the model is too sure of itself.",
    )


def _part(predictions: dict[str, Any] | None, group: str | None) -> dict[str, Any]:
    found: dict[str, Any] = (predictions or {})["calibration"]
    part: dict[str, Any] = found["overall"] if group is None else found["groups"][group]
    return part


def _has(methods: list[Method], group: str) -> bool:
    return all(
        group in (run.predictions or {})["calibration"]["groups"] for m in methods for run in m.runs
    )
