"""The tables of the appendix's landscapes: what was measured, and what became of each claim."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks import record
from benchmarks.tables import markdown

GROUPS = ("overall", "head", "tail")
MEASURES = ("near", "whole", "far", "asymmetry")


def _figure() -> dict[str, Any]:
    """What `ccsam reproduce landscapes` recorded."""
    figure: dict[str, Any] = record.load(record.RESULTS / "landscapes.json")["figure"]
    return figure


def _mean_std(values: Sequence[float]) -> str:
    spread = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.fmean(values):.2f}{spread}"


def measures() -> str:
    """How much the loss changes around each model, mean and deviation over the seeds."""
    rows = [
        (label, group, *(_mean_std([seed[group][m] for seed in seeds]) for m in MEASURES))
        for label, seeds in _figure()["measures"].items()
        for group in GROUPS
    ]
    return markdown(("method", "classes", *MEASURES), rows, left=2)


def claims() -> str:
    """Each claim of the appendix with the difference that was found."""
    rows = []
    for claim in _figure()["claims"]:
        low, high = claim["interval"]
        known = low is not None and math.isfinite(claim["mean"])
        rows.append(
            (
                claim["text"],
                claim["group"],
                claim["measure"],
                f"{claim['mean']:+.2f}" if math.isfinite(claim["mean"]) else "-",
                f"{low:+.2f} to {high:+.2f}" if known else "-",
                f"**{claim['verdict']}**",
            )
        )
    heads = ("the appendix says", "classes", "measure", "difference", "95 % interval", "here")
    return markdown(heads, rows, left=3)


def accuracies() -> str:
    """Test accuracy of the networks whose landscapes these are, in percent."""
    columns = ("ours", "many", "medium", "few")
    rows = [
        (row["label"], *(_mean_std(row[column]["values"]) for column in columns))
        for row in record.load(record.RESULTS / "landscapes.json")["rows"]
    ]
    return markdown(("method", "overall", *columns[1:]), rows)
