"""Markdown tables of recorded results, so that figures are pasted and never typed.

    python benchmarks/tables.py versus_pytorch [--results benchmarks/results]

Prints one table for each file of that benchmark. `(in brackets)` is processor time.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.record import Row


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """A table whose first `left` columns are text and whose other ones are numbers."""
    rule = ["---"] * left + ["---:"] * (len(heads) - left)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))


def ratio(row: Row) -> str:
    """By the clock, and in processor time."""
    processor = f" ({row['cpu_ratio']:.2f})" if "cpu_ratio" in row else ""
    return f"{row['ratio']:.2f}{processor}"


def number(row: Row, field: str, digits: int = 0) -> str:
    """A field of a row, or that it was not measured."""
    return f"{row[field]:,.{digits}f}" if field in row else "not measured"


def versus_pytorch(content: dict[str, Any]) -> str:
    """One table per setting."""
    fields = ("network", "batch", "classes", "precision", "threads")
    parts = []
    for setting, rows in grouped(content["rows"], fields):
        network, batch, classes, precision, threads = setting
        parts.append(
            f"{network}, batch {batch}, {classes} classes, {precision}, threads: {threads}\n"
        )
        heads = ("", "ms/step", "images/s", "x PyTorch", "first step, s", "MiB of the steps")
        cells = [
            (
                f"{row['worker']}: {row['method']}",
                number(row, "ms_per_step", 1),
                number(row, "images_per_second"),
                ratio(row),
                number(row, "first_step_seconds", 1),
                number(row, "mib_of_steps"),
            )
            for row in rows
        ]
        parts.append(markdown(heads, cells) + "\n")
    return "\n".join(parts)


def step_cost(content: dict[str, Any]) -> str:
    """Methods side by side."""
    return side_by_side(
        content,
        ("backbone", "batch", "classes"),
        {"ccsam-head": "CC-SAM (head)", "sam": "SAM", "ccsam-all": "CC-SAM (all weights)"},
    )


def whole_network(content: dict[str, Any]) -> str:
    """Methods side by side."""
    return side_by_side(
        content,
        ("network", "batch", "classes"),
        {"two passes": "two passes", "class loop": "class loop"},
    )


def side_by_side(content: dict[str, Any], fields: Sequence[str], methods: dict[str, str]) -> str:
    """Cross-entropy's milliseconds, and each method's ratio to it."""
    cells = []
    for setting, rows in grouped(content["rows"], fields):
        by_method = {row["method"]: row for row in rows}
        base = number(by_method.get("cross-entropy", {}), "ms_per_step")
        ratios = [ratio(by_method[m]) if m in by_method else "not measured" for m in methods]
        cells.append((*map(str, setting), base, *ratios))
    return markdown((*fields, "cross-entropy, ms", *methods.values()), cells)


def pipeline(content: dict[str, Any]) -> str:
    """Stages below each other."""
    heads = ("stage", "images/s per core", "images/s", "x gather")
    cells = [
        (
            str(row["stage"]).replace(" +", ","),
            number(row, "images_per_second_core"),
            number(row, "images_per_second"),
            ratio(row),
        )
        for row in content["rows"]
    ]
    return markdown(heads, cells)


def profile(content: dict[str, Any]) -> str:
    """Kinds of kernels below each other."""
    cells = []
    for row in content["rows"]:
        total = sum(row["kinds"].values())
        setting = f"{content['backend']}: {row['backbone']}, batch {row['batch']}"
        step = f"{setting}, {row['ms_per_step']:.0f} ms/step"
        cells += [
            (step, kind, f"{took:.1f}", f"{took / total:.0%}")
            for kind, took in row["kinds"].items()
        ]
    return markdown(("", "kind", "ms", "of the kernels"), cells, 2)


def any_other(content: dict[str, Any]) -> str:
    """The key of each row, its milliseconds and its ratio."""
    key = content["key"]
    cells = [
        (
            *(str(row.get(field)) for field in key),
            number(row, "ms_per_step", 2),
            ratio(row) if "ratio" in row else "not measured",
        )
        for row in content["rows"]
    ]
    return markdown((*key, "ms/step", "ratio"), cells, len(key))


def grouped(rows: list[Row], fields: Sequence[str]) -> list[tuple[tuple[Any, ...], list[Row]]]:
    """Rows of equal fields together, in the order of their first."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(field) for field in fields), []).append(row)
    return list(groups.items())


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "versus_pytorch": versus_pytorch,
    "step_cost": step_cost,
    "whole_network": whole_network,
    "pipeline": pipeline,
    "profile": profile,
}


def main() -> None:
    """Prints the tables of one benchmark."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("benchmark", help="such as versus_pytorch")
    parser.add_argument("--results", type=Path, default=record.RESULTS, help="folder")
    options = parser.parse_args()
    paths = sorted(options.results.glob(f"{options.benchmark}*.json"))
    if not paths:
        parser.error(f"{options.results} holds no {options.benchmark}*.json")
    for path in paths:
        content = record.load(path)
        where = [content.get("backend"), content.get("device"), content.get("cpu")]
        print(f"<!-- {path.name}: {', '.join(str(part) for part in where if part)} -->")
        print(TABLES.get(options.benchmark, any_other)(content) + "\n")


if __name__ == "__main__":
    main()
