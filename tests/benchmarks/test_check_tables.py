"""The table of what checks said."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import check_tables, record
from benchmarks.side_by_side import outcomes

pytestmark = pytest.mark.any_backend


def row(name: str, verdict: str, measurement: int = 1, **other: Any) -> record.Row:
    check = {"began": "2026-11-29T19:35:47+00:00", "backend": "torch", "plant": 0.0}
    numbers = {"cpu_ratio": 1.0, "seconds": 90, "load": 6.2}
    return {
        **check,
        "row": name,
        "measurement": measurement,
        "verdict": verdict,
        **numbers,
        **other,
    }


def test_a_line_for_each_check_and_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [
        row("a", "not slower"),
        row("b", "slower", cpu_ratio=1.08),
        row("b", "slower", 2, load=8.4),
        row("c", "slower"),
        row("c", "not slower", 2, cpu_ratio=0.97),
        row("a", "undecided", backend="jax", plant=0.1),
        row("b", "slower", backend="jax", plant=0.1),  # not measured again yet: no answer
    ]
    record.save(tmp_path / "bench-check.json", rows, outcomes.KEY, None)
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    assert check_tables.checks().splitlines()[2:] == [
        "| 2026-11-29 19:35 | nothing | torch | 6 to 8 | 3 | 1 | 2 | 0 | 0.970 to 1.080 | 8 |",
        "| 2026-11-29 19:35 | 10% | jax | 6 to 6 | 2 | 0 | 0 | 1 | 1.000 to 1.000 | 3 |",
    ]
