"""Files of results: what a call measures replaces its own rows and keeps the others."""

from pathlib import Path

import pytest

from benchmarks import record

pytestmark = pytest.mark.any_backend


def test_rows_replace_their_own_and_keep_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    path, key = tmp_path / "new" / "step-cpu.json", ("batch", "method")
    rows = [{"batch": 64, "method": m, "ratio": r} for m, r in (("ce", 1.0), ("sam", 2.0))]
    record.save(path, rows, key, None)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    record.save(path, [{"batch": 64, "method": "sam", "ratio": 3.0}], key, None, device="cpu")
    record.save(path, [{"batch": 128, "method": "sam", "ratio": 4.0}], key, None, device="cpu")
    content = record.load(path)
    assert [(r["batch"], r["method"], r["ratio"], r["threads"]) for r in content["rows"]] == [
        (64, "ce", 1.0, 1),
        (64, "sam", 3.0, 2),
        (128, "sam", 4.0, 2),
    ]
    assert content["key"] == list(key)
    assert content["device"] == "cpu"
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_no_file_has_no_rows(tmp_path: Path) -> None:
    assert record.load(tmp_path / "none.json") == {"rows": []}


def test_the_device_is_in_the_name() -> None:
    path = record.results_file("step_cost-torch", "NVIDIA H100 80GB", folder="results")
    assert path == Path("results/step_cost-torch-nvidia-h100-80gb.json")
    assert record.results_file("pipeline").name == "pipeline.json"


def test_no_recorded_file_has_a_row_twice() -> None:
    for path in record.RESULTS.glob("*.json"):
        content = record.load(path)
        if "key" not in content:  # not of a benchmark: a comparison of accuracies
            continue
        named = [tuple(row.get(field) for field in content["key"]) for row in content["rows"]]
        assert named, path.name
        assert len(named) == len(set(named)), path.name
