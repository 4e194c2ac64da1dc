"""From folders to the page: which runs, which words, and what is left alone."""

import builtins
import importlib.util
import json
import re
import shutil
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import reporting
from keras_ccsam.reporting import gathering, predictions, whole_page, wording
from keras_ccsam.runs import RunResult, evaluate_run
from tests.reporting.written_analyses import write_analyses
from tests.reporting.written_runs import COUNTS, write_run


def plain(path: Path) -> str:
    """The text of a page, without its tags."""
    text = path.read_text(encoding="utf-8")
    body = text[text.index("<body") : text.index('<script type="application/json"')]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


@pytest.mark.any_backend
def test_one_seed_is_called_one_seed(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "ce", 0)
    write_run(tmp_path / "b", "ccsam", 0, skill=5.0)
    text = plain(reporting.report([tmp_path / "a", tmp_path / "b"], tmp_path / "r.html"))
    assert "one seed (0)" in text
    assert "A difference between two methods may be the seed's" in text
    assert "Of one seed, so its spread is not known" in text
    assert not re.search(r"\d ± \d", text)
    assert "Larger than the spread:" not in text


@pytest.mark.any_backend
def test_differences_are_judged_by_the_spread(tmp_path: Path) -> None:
    for seed in range(3):
        write_run(tmp_path / f"ce-seed{seed}", "ce", seed, skill=1.0)
        write_run(tmp_path / f"ccsam-seed{seed}", "ccsam", seed, skill=6.0)
        write_run(tmp_path / f"twin-seed{seed}", "twin", seed, skill=6.0)
    text = plain(reporting.report([tmp_path]))
    assert "Mean ± standard deviation over 3 seeds (0, 1, 2)" in text
    assert re.search(r"Larger than the spread: ce by \d+", text)
    assert re.search(r"Within the spread, so undecided here: (twin|ccsam) by", text)


@pytest.mark.any_backend
def test_the_verdict_by_hand() -> None:
    # Standard deviations 1 and 2: the spread of a difference is the root of 5.
    a, b = [10.0, 11.0, 12.0], [8.0, 10.0, 12.0]
    assert wording.verdict(a, b) == (1.0, "within the spread")
    assert wording.verdict([v + 1.2 for v in a], b) == (pytest.approx(2.2), "within the spread")
    found = wording.verdict([v + 1.3 for v in a], b)
    assert found == (pytest.approx(2.3), "larger than the spread")
    assert wording.verdict([1.0], [0.0]) == (1.0, "one seed")
    assert wording.verdict([1.0, 3.0], [2.0, 2.0]) == (0.0, "none")
    assert wording.verdict([1.0, None], [0.0, 0.0]) is None


@pytest.mark.any_backend
def test_runs_that_differ_in_a_setting_are_two_methods_with_telling_names(tmp_path: Path) -> None:
    for rate in (0.1, 0.5):
        for seed in (0, 1):
            write_run(tmp_path / f"{rate}-{seed}", "ce", seed, rate=rate)
    runs, _ = gathering.find([tmp_path])
    (group,) = gathering.gather(runs)
    assert [m.name for m in group.methods] == ["ce (lr=0.1)", "ce (lr=0.5)"]
    assert [m.seeds for m in group.methods] == [(0, 1), (0, 1)]


@pytest.mark.any_backend
def test_runs_of_two_backends_are_two_methods(tmp_path: Path) -> None:
    for seed, backend in enumerate(("jax", "torch")):
        write_run(tmp_path / backend, "ce", seed, backend=backend)
    (group,) = gathering.gather(gathering.find([tmp_path])[0])
    assert [m.name for m in group.methods] == ["ce (backend=jax)", "ce (backend=torch)"]
    assert [m.seeds for m in group.methods] == [(0,), (1,)]


@pytest.mark.any_backend
def test_a_number_that_alone_differs_gets_a_chart(tmp_path: Path) -> None:
    for rate in (0.3, 0.1, 0.2):
        write_run(tmp_path / f"{rate}", f"variant {rate}", 0, rate=rate)
    text = plain(reporting.report([tmp_path]))
    assert "The methods differ in stage1.lr alone" in text
    assert "the test set is none to choose by" in text
    write_run(tmp_path / "other", "ce", 0, rate=0.4, stages=2)
    assert "The methods differ in" not in plain(reporting.report([tmp_path]))


@pytest.mark.any_backend
def test_the_same_run_twice_is_not_two_seeds(tmp_path: Path) -> None:
    write_run(tmp_path / "one", "ce", 0)
    write_run(tmp_path / "two", "ce", 0)
    runs, _ = gathering.find([tmp_path, tmp_path / "one"])
    assert len(runs) == 2
    (group,) = gathering.gather(runs)
    assert [m.seeds for m in group.methods] == [(0,), (0,)]
    assert len({m.name for m in group.methods}) == 2


@pytest.mark.any_backend
def test_each_data_set_has_a_part_of_its_own(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "ce", 0)
    write_run(tmp_path / "b", "ce", 0, class_counts=(9, 5, 2), class_names=("x", "y", "z"))
    out = reporting.report([tmp_path])
    html = out.read_text(encoding="utf-8")
    assert 'id="summarydata-1"' in html
    assert 'id="summarydata-2"' in html


@pytest.mark.any_backend
def test_a_comparison_keeps_the_order_of_its_rows(tmp_path: Path) -> None:
    for name in ("sam", "ce", "ccsam"):
        write_run(tmp_path / f"{name}-seed0", name, 0)
    (tmp_path / "state.json").write_text('{"kind": "comparison"}', encoding="utf-8")
    rows = [{"recipe": name} for name in ("ce", "sam", "ccsam")]
    (tmp_path / "comparison.json").write_text(json.dumps({"rows": rows}), encoding="utf-8")
    runs, _ = gathering.find([tmp_path])
    assert [run.results["recipe"] for run in runs] == ["ce", "sam", "ccsam"]


@pytest.mark.any_backend
def test_unfinished_runs_are_named(tmp_path: Path) -> None:
    write_run(tmp_path / "done", "ce", 0)
    write_run(tmp_path / "killed", "ce", 1, status="running")
    text = plain(reporting.report([tmp_path]))
    assert "Left out, because unfinished or damaged: killed (interrupted)" in text


@pytest.mark.any_backend
def test_only_an_earlier_report_is_replaced(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "ce", 0)
    out = reporting.report([tmp_path])
    first = out.read_text(encoding="utf-8")
    assert reporting.report([tmp_path], title="Another").read_text(encoding="utf-8") != first
    mine = tmp_path / "mine.html"
    mine.write_text("my own page", encoding="utf-8")
    with pytest.raises(ValueError, match="only an earlier report is replaced"):
        reporting.report([tmp_path], mine)
    assert mine.read_text(encoding="utf-8") == "my own page"


@pytest.mark.any_backend
def test_no_runs_and_no_package_are_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="there is no run in it"):
        reporting.report([tmp_path])
    with pytest.raises(ValueError, match="there is no such folder"):
        reporting.report([tmp_path / "absent"])
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jinja2" else find(name)
    )
    write_run(tmp_path / "a", "ce", 0)
    with pytest.raises(ValueError, match=r'pip install "keras-ccsam\[report\]"'):
        reporting.report([tmp_path])
    assert not (tmp_path / "report.html").exists()


@pytest.mark.any_backend
def test_importing_the_room_needs_none_of_its_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refusing(name: str, *rest: object) -> object:
        if name.split(".")[0] in ("jinja2", "markupsafe", "plotly", "contourpy"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refusing)
    importlib.reload(reporting)


@pytest.fixture(scope="module")
def copied(finished: RunResult, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run that predictions may be written into; other tests read the original."""
    folder = tmp_path_factory.mktemp("copied") / "ccsam"
    shutil.copytree(finished.path, folder)
    return folder


@pytest.mark.any_backend
def test_predictions_of_a_run_are_those_of_its_evaluation(copied: Path) -> None:
    content = reporting.predict(copied, samples=50)
    report = evaluate_run(copied)
    overall = content["calibration"]["overall"]
    assert overall["accuracy"] == pytest.approx(report.overall, abs=1e-9)
    assert overall["ece"] == pytest.approx(report.ece, abs=1e-6)
    assert overall["nll"] == pytest.approx(report.nll, abs=1e-5)
    folder = copied / "analysis"
    assert json.loads((folder / "predictions.json").read_text("utf-8")) == content
    arrays = predictions.arrays(folder)
    assert arrays["labels"].shape == (report.num_samples,)
    assert arrays["projection"].shape == (50, 2)
    weights = content["representation"]["weight_norms"]
    head = evaluate_head(copied)
    assert weights == pytest.approx(np.linalg.norm(head, axis=0).tolist(), rel=1e-5)


def evaluate_head(path: Path) -> np.ndarray:
    """The kernel of a run's classifier."""
    from keras_ccsam.runs import RunDirectory

    return np.asarray(RunDirectory(path).model().layers[-1].get_weights()[0])


@pytest.mark.any_backend
def test_the_command_predicts_once_and_says_where_the_report_is(
    copied: Path, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "r.html"
    arguments = ["report", str(copied), "--out", str(out)]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    assert str(out) in result.stdout
    again = CliRunner().invoke(cli, [*arguments, "--json"])
    assert json.loads(again.stdout)["bytes"] == out.stat().st_size
    assert "predicting" not in again.output
    text = plain(out)
    assert "Reliability" in text or "Calibration" in text
    assert "one seed" in text
    assert "ccsam report" in text


@pytest.mark.any_backend
def test_the_command_refuses_in_one_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["report", str(tmp_path / "absent")])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.any_backend
def test_a_damaged_run_or_analysis_costs_only_itself(tmp_path: Path) -> None:
    whole = write_run(tmp_path / "whole")
    for name, file, text in (
        ("recipe", "recipe.toml", "nonsense = ["),
        ("state", "state.json", "nope"),
        ("results", "results.json", "{}"),
        ("records", "metrics.jsonl", '{"a": 1}\nxx\n{"a": 2}\n'),
        ("environment", "environment.json", ""),
    ):
        (write_run(tmp_path / name, name) / file).write_text(text)
    (whole / "analysis" / "bound.json").write_text('{"half":')
    (whole / "analysis" / "landscape.npz").write_bytes(b"PK\x03\x04junk")
    said: list[str] = []
    text = plain(reporting.report([tmp_path], predictions=False, say=said.append))
    left, files = said
    for name in ("recipe", "state", "results", "records", "environment"):
        assert f"{name} (" in left
    assert "whole (" not in left
    assert "whole/analysis/bound.json, whole/analysis/landscape.npz" in files
    assert all(note in text for note in said)


@pytest.mark.any_backend
@pytest.mark.parametrize("content", [b"", b"junk", b"PK\x03\x04junk"])
def test_broken_predictions_count_as_none(tmp_path: Path, content: bytes) -> None:
    run = write_run(tmp_path / "run")
    assert predictions.predicted(run / "analysis")
    (run / "analysis" / "predictions.npz").write_bytes(content)
    assert predictions.predicted(run / "analysis") is None
    assert reporting.report([run], predictions=False).is_file()


@pytest.mark.any_backend
def test_sixty_runs_with_landscapes_stay_under_a_megabyte(tmp_path: Path) -> None:
    names = [str(number) for number in range(len(COUNTS))]
    for number in range(20):
        for seed in range(3):
            run = write_run(
                tmp_path / f"m{number}-seed{seed}", f"m{number}", seed, class_names=names
            )
            if seed == 0:
                write_analyses(run, 1.0 + 0.1 * number)
    told: list[str] = []
    path = reporting.report([tmp_path], say=told.append, predictions=False)
    assert path.stat().st_size < 1_000_000
    html = path.read_text(encoding="utf-8")
    assert "panels are left out: report on fewer runs" in html
    assert any("to keep the page below 1 MB" in line for line in told)
    assert all(f"m{number}" in html for number in range(20))


@pytest.mark.any_backend
def test_accuracies_of_thousands_of_classes_are_no_part_of_the_numbers(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_run(tmp_path / "a", "ce", 0)
    html = reporting.report([tmp_path], predictions=False).read_text(encoding="utf-8")
    assert '"per_class":[[' in html
    monkeypatch.setattr(whole_page, "_NUMBERS", 100)
    html = reporting.report([tmp_path], predictions=False).read_text(encoding="utf-8")
    assert '"per_class":null' in html
