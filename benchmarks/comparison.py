"""What got slower between two files of results.

Milliseconds differ from machine to machine and from day to day, so only ratios are compared: a
row's time over that of the base measured beside it. A row is slower when its ratio has grown by
more than the tolerance *and* lies above every ratio that was recorded; on a CPU both by the clock
and in processor time, which another program disturbs in different ways.
"""

import dataclasses
from typing import Any

from benchmarks.record import Row


@dataclasses.dataclass(frozen=True)
class Slower:
    """A row that got slower: its name, and the two rows."""

    name: str
    recorded: Row
    now: Row

    def __str__(self) -> str:
        parts = []
        for field, label in (("ratio", "by the clock"), ("cpu_ratio", "in processor time")):
            if field not in self.recorded or field not in self.now:
                continue
            before, after = self.recorded[field], self.now[field]
            spread = ""
            if f"{field}_max" in self.recorded:
                low, high = self.recorded[f"{field}_min"], self.recorded[f"{field}_max"]
                spread = f" (recorded {low:.3f} to {high:.3f})"
            growth = 100 * (after / before - 1)
            parts.append(f"{before:.3f} -> {after:.3f} {label}, {growth:+.0f} %{spread}")
        return f"{self.name}: {'; '.join(parts)}"


@dataclasses.dataclass
class Comparison:
    """Slower rows, those that could not be compared and why, and how many were."""

    slower: list[Slower]
    skipped: list[str]
    compared: int


def compare(recorded: dict[str, Any], now: dict[str, Any], tolerance: float) -> Comparison:
    """Compares the rows of two files of results, as `record.load` reads them.

    Args:
        recorded: the earlier one; may have no rows.
        now: the later one. Its `key` names the fields by which rows are matched.
        tolerance: by what share a ratio may grow.
    """
    fields = ("ratio", "cpu_ratio") if now.get("device", "cpu") == "cpu" else ("ratio",)
    earlier = {identity(row, now["key"]): row for row in recorded["rows"]}
    result = Comparison([], [], 0)
    for row in now["rows"]:
        name = ", ".join(f"{field}={row.get(field)}" for field in now["key"])
        before = earlier.get(identity(row, now["key"]))
        if before is None:
            result.skipped.append(f"{name}: not recorded")
        elif before.get("threads") != row.get("threads"):
            result.skipped.append(
                f"{name}: recorded with threads={before.get('threads')}, "
                f"measured with threads={row.get('threads')}"
            )
        elif not (common := [field for field in fields if field in before and field in row]):
            result.skipped.append(f"{name}: no ratio recorded")
        else:
            result.compared += 1
            if all(grown(before, row, field, tolerance) for field in common):
                result.slower.append(Slower(name, before, row))
    return result


def identity(row: Row, key: list[str]) -> tuple[Any, ...]:
    """The values of the key's fields."""
    return tuple(row.get(field) for field in key)


def grown(before: Row, now: Row, field: str, tolerance: float) -> bool:
    """Whether a ratio is larger beyond the tolerance and beyond its recorded spread."""
    return now[field] > max(
        before[field] * (1 + tolerance), before.get(f"{field}_max", before[field])
    )
