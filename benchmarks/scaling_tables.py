"""The tables of docs/scaling.md."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.tables import markdown

NAMES = {"erm": "cross-entropy", "ccsam": "CC-SAM"}


def _rows(part: str) -> list[dict[str, Any]]:
    found = record.load(record.results_file("scaling-torch", "cpu"))["rows"]
    return [row for row in found if row["part"] == part]


def steps() -> str:
    """What a step sends and takes with 1, 2 and 4 processes."""
    heads = ("processes", "method", "messages", "bytes", "ms", "processor ms", "model")
    cells = [
        (
            str(row["processes"]),
            NAMES[row["method"]],
            str(row["messages"]),
            f"{row['bytes']:,}",
            f"{1000 * row['median']:.0f}",
            f"{1000 * row['processor']:.0f}",
            f"{1000 * row['modelled']:.0f}",
        )
        for row in sorted(_rows("step"), key=lambda r: (r["processes"], r["method"] != "erm"))
    ]
    return markdown(heads, cells)


def sums() -> str:
    """What was fitted to sums over the processes."""
    heads = ("processes", "microseconds per message", "MB/s")
    cells = [
        (
            str(row["processes"]),
            f"{1e6 * row['message_seconds']:.0f}",
            f"{row['bytes_per_second'] / 1e6:,.0f}",
        )
        for row in _rows("sums")
    ]
    return markdown(heads, cells)


def predicted() -> str:
    """ResNet-50."""
    heads = ("where", "method", "messages", "MB per link", "CC-SAM's", "ms", "efficiency")
    cells = [
        (
            row["setting"],
            NAMES[row["method"]],
            str(row["messages"]),
            f"{row['link_bytes'] / 1e6:.1f}",
            f"{row['gathered_bytes'] / 1e6:.1f}",
            f"{1000 * row['seconds']:.1f}",
            f"{100 * row['efficiency']:.1f} %",
        )
        for row in _rows("predicted")
    ]
    return markdown(heads, cells)


def pipeline() -> str:
    """The input pipeline by threads."""
    cells = [(str(row["processes"]), f"{row['images_per_second']:,}") for row in _rows("pipeline")]
    return markdown(("threads", "images/s"), cells)
