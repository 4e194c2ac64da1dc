"""The tables of the appendix's other figures, as `ccsam reproduce` recorded them."""

import statistics
from typing import Any

from benchmarks import record
from benchmarks.tables import markdown

_COLUMNS = {"ours": "overall", "many": "many", "medium": "medium", "few": "few"}


def figure1() -> str:
    """Test accuracy on the digits over the perturbation scale, in percent."""
    content: dict[str, Any] = record.load(record.RESULTS / "figure1-digits.json")
    rows = [
        (row["label"].removeprefix("r = "), *(_mean_std(row[c]["values"]) for c in _COLUMNS))
        for row in content["rows"]
    ]
    return markdown(("r", *_COLUMNS.values()), rows, left=1)


def figure3() -> str:
    """The bound of the head class after the last epoch of stage 1, on the digits."""
    content: dict[str, Any] = record.load(record.RESULTS / "figure3-digits.json")
    (seeds,) = content["figure"]["seeds"].values()
    columns = {
        "training loss": 1.0,
        "test loss": 1.0,
        "bound (16)": 1.0,
        "square-root term": 1.0,
        "below": 100.0,
    }
    cells = [_mean_std([factor * seed[c] for seed in seeds]) for c, factor in columns.items()]
    heads = ("training error", "test error", "bound (16)", "square-root term")
    return markdown((*heads, "% of epochs with the term below 1"), [cells], left=0)


def _mean_std(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"
