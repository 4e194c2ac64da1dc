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


def _mean_std(values: list[float]) -> str:
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"
