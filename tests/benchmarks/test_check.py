"""What `make bench-check` calls slower, on records made up here: nothing is timed."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import check, record
from benchmarks.comparison import compare

pytestmark = pytest.mark.any_backend

KEY = ["batch", "method"]


def row(method: str, ratio: float, spread: float = 0.0, **fields: Any) -> dict[str, Any]:
    """A row whose rounds lie within `spread` around the ratio, by the clock and otherwise."""
    values = {
        f"{name}{suffix}": ratio + sign * spread
        for name in ("ratio", "cpu_ratio")
        for suffix, sign in (("", 0), ("_min", -1), ("_max", 1))
    }
    return {"batch": 64, "method": method, **values, "threads": 1, **fields}


def results(*rows: dict[str, Any], device: str = "cpu") -> dict[str, Any]:
    return {"device": device, "key": KEY, "rows": list(rows)}


def slower(recorded: dict[str, Any], now: dict[str, Any], **fields: Any) -> list[str]:
    device = fields.get("device", "cpu")
    found = compare(results(recorded, device=device), results(now, device=device), 0.10)
    return [name.name for name in found.slower]


def test_a_slower_row_is_named_with_both_ratios() -> None:
    recorded = results(row("ce", 1.0), row("sam", 2.0, 0.05))
    found = compare(recorded, results(row("ce", 1.0), row("sam", 2.5)), 0.10)
    assert [entry.name for entry in found.slower] == ["batch=64, method=sam"]
    assert "2.000 -> 2.500 by the clock, +25 % (recorded 1.950 to 2.050)" in str(found.slower[0])
    assert "in processor time" in str(found.slower[0])
    assert found.compared == 2
    assert not found.skipped


@pytest.mark.parametrize("now", [1.5, 2.0, 2.19])
def test_a_faster_row_and_one_within_the_tolerance_are_not(now: float) -> None:
    assert slower(row("sam", 2.0), row("sam", now)) == []


def test_the_tolerance_is_a_share_of_the_recorded_ratio() -> None:
    assert slower(row("sam", 2.0), row("sam", 2.21)) == ["batch=64, method=sam"]


def test_noise_within_the_recorded_spread_is_not_slower() -> None:
    noisy = row("sam", 2.0, 0.6)
    assert slower(noisy, row("sam", 2.5)) == []
    assert slower(noisy, row("sam", 2.7)) == ["batch=64, method=sam"]


def test_on_a_cpu_the_clock_and_the_processor_must_agree() -> None:
    waited, computed = row("sam", 2.0) | {"ratio": 3.0}, row("sam", 2.0) | {"cpu_ratio": 3.0}
    assert slower(row("sam", 2.0), waited) == []
    assert slower(row("sam", 2.0), computed) == []
    assert slower(row("sam", 2.0), row("sam", 3.0)) == ["batch=64, method=sam"]


def test_on_a_gpu_the_clock_decides() -> None:
    waited, computed = row("sam", 2.0) | {"ratio": 3.0}, row("sam", 2.0) | {"cpu_ratio": 3.0}
    assert slower(row("sam", 2.0), waited, device="GPU") == ["batch=64, method=sam"]
    assert slower(row("sam", 2.0), computed, device="GPU") == []


def test_rows_recorded_without_a_spread_are_compared() -> None:
    recorded = {"batch": 64, "method": "sam", "ratio": 2.0, "threads": 1}
    assert slower(recorded, row("sam", 2.3)) == ["batch=64, method=sam"]
    assert slower(recorded, row("sam", 2.1)) == []


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        (results(), "not recorded"),
        (results(row("sam", 2.0, batch=128)), "not recorded"),
        (results(row("sam", 2.0, threads=2)), "recorded with threads=2, measured with threads=1"),
        (results({"batch": 64, "method": "sam", "threads": 1}), "no ratio recorded"),
    ],
)
def test_what_cannot_be_compared_is_said(recorded: dict[str, Any], reason: str) -> None:
    found = compare(recorded, results(row("sam", 9.0)), 0.10)
    assert found.skipped == [f"batch=64, method=sam: {reason}"]
    assert (found.slower, found.compared) == ([], 0)


class Bench:
    """Stands in for the benchmarks: each run writes the next of the given ratios of SAM."""

    def __init__(self, ratios: list[float]) -> None:
        self.ratios = ratios

    def __call__(self, benchmark: check.Benchmark, backend: str, folder: Path) -> None:
        assert benchmark.name == "step_cost"
        content = results(row("ce", 1.0), row("sam", self.ratios.pop(0)))
        (folder / f"step_cost-{backend}-cpu.json").write_text(json.dumps(content))


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of results of one backend, in place of the real one."""
    content = results(row("ce", 1.0), row("sam", 2.0, 0.05))
    (tmp_path / "step_cost-torch-cpu.json").write_text(json.dumps(content))
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    monkeypatch.setattr(check.importlib.util, "find_spec", lambda name: name != "jax" or None)
    return tmp_path


@pytest.mark.parametrize(
    ("ratios", "options", "status"),
    [
        ([2.0], [], 0),
        ([1.2], [], 0),
        ([2.5, 2.5], [], 1),
        ([2.5, 2.0], [], 0),  # slower once: noise
        ([2.5], ["--tolerance", "0.5"], 0),
    ],
)
def test_the_exit_status(
    ratios: list[float],
    options: list[str],
    status: int,
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (recorded / "step_cost-torch-cpu.json").read_text()
    monkeypatch.setattr(check, "run", Bench(ratios))
    assert check.main(["--only", "step_cost", "--backends", "torch", *options]) == status
    assert ratios == []
    printed = capsys.readouterr().out
    assert ("SLOWER batch=64, method=sam" in printed) == bool(status)
    assert "method=ce" not in printed
    assert [path.name for path in recorded.iterdir()] == ["step_cost-torch-cpu.json"]
    assert (recorded / "step_cost-torch-cpu.json").read_text() == before


def test_missing_backends_and_records_are_skipped_aloud(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "run", Bench([9.0]))
    assert check.main(["--only", "step_cost", "--backends", "jax", "tensorflow"]) == 0
    printed = capsys.readouterr().out
    assert "jax is not installed" in printed
    assert "batch=64, method=sam: not recorded" in printed


def test_what_was_never_recorded_is_not_run(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check, "run", Bench([]))
    assert check.main(["--only", "versus_pytorch"]) == 0
    assert "versus_pytorch, torch\n  skipped: nothing recorded" in capsys.readouterr().out


def test_a_benchmark_that_fails_is_not_passed_over(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: Any) -> None:
        raise check.BenchmarkFailed("no such method")

    monkeypatch.setattr(check, "run", fail)
    assert check.main(["--only", "step_cost", "--backends", "torch"]) == 1
    assert "no such method" in capsys.readouterr().out


def test_every_benchmark_of_the_check_exists_and_takes_a_folder() -> None:
    folder = Path(check.__file__).parent
    for benchmark in check.BENCHMARKS:
        assert '"--out"' in (folder / f"{benchmark.name}.py").read_text(encoding="utf-8")
