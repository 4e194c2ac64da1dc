"""A comparison in the hands of a launcher, without the processes."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import launching, runs, stopping
from keras_ccsam.callbacks.metrics_log import append
from keras_ccsam.comparison import compare, sweep, under_way
from keras_ccsam.comparison.compare import NothingTrained
from keras_ccsam.comparison.comparison import MissingRun
from keras_ccsam.comparison.plan import plan_comparison
from keras_ccsam.comparison.under_way import UnderWay
from keras_ccsam.launching import Outcome
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory
from tests.launching.test_carrying_out import Pretended, Scripted

pytestmark = pytest.mark.any_backend


class Here(Pretended):
    """Trains in this process what is not told to fail."""

    def submit(self, job):
        task = super().submit(job)
        if task._outcome.status == "complete":
            recipe = Recipe.from_toml(job.recipe, job.name)
            runs.run(recipe, job.path, progress="none", stage1_from=job.stage1_from, **job.options)
        return task


FAILED = Outcome("failed", "its own mistake")


def test_how_far_the_runs_are_and_how_long_they_take_is_told(small, tmp_path, monkeypatch, capsys):
    """Two at a time: 4 of 12 s of epochs in 2 s leave 4 s."""
    plan = plan_comparison([small("ce", "stage1.epochs=4")], [0, 1, 2], tmp_path / "out")
    shown = UnderWay(plan.runs, Progress("line"))
    assert shown.line(0.0) == shown.line(9.0) == "epochs 0/12"
    for run in plan.runs[:2]:
        run.path.mkdir(parents=True)
        for epoch in (1, 2):
            append(RunDirectory(run.path).metrics_file, {"stage": 1, "epoch": epoch, "seconds": 1})
    assert shown.line(2.0) == "epochs 4/12, 4 s left in all"
    # One that was there before counts as done, and says nothing of how fast it goes now.
    again = UnderWay(plan.runs, Progress("line"))
    assert again.line(9.0) == "epochs 4/12"
    shown.lose(plan.runs[2].path.name)
    assert shown.line(2.0) == "epochs 4/8, 2 s left in all"  # nobody trains the others
    shown()
    assert capsys.readouterr().out == ""  # not yet
    monkeypatch.setattr(under_way, "_FIRST", 0.0)
    shown()
    assert capsys.readouterr().out.startswith("epochs 4/8, ")


def test_the_table_fills_as_runs_end(small, tmp_path, monkeypatch):
    out = tmp_path / "out"
    tables = []

    class Watched(Here):
        def submit(self, job):
            if (out / "comparison.md").exists():
                tables.append((out / "comparison.md").read_text(encoding="utf-8"))
            return super().submit(job)

    launcher = Watched({"ce-seed1": [FAILED]}, jobs=1)
    chosen = [small("ce"), small("crt", "stage2.epochs=1")]
    found = compare(chosen, [0, 1], out, progress="none", launcher=launcher)
    # The second seed's lender failed: crt has trained its own first stage.
    assert launcher.begun == [
        ("ce-seed0", None),
        ("crt-seed0", "ce-seed0"),
        ("ce-seed1", None),
        ("crt-seed1", None),
    ]
    assert "| ce | not yet | - |" in tables[0] and "| crt | not yet | - |" in tables[0]
    assert "| ce | failed | - |" in tables[-1]
    assert found.missing == (MissingRun("ce", 1, "its own mistake", "failed"),)
    [lost, there] = found.cells()[1]
    assert lost[1] == "failed" and "±" in there[1]
    # The same again asks for what is missing alone, and the table is whole.
    launcher = Here()
    again = compare(chosen, [0, 1], out, progress="none", launcher=launcher)
    assert launcher.begun == [("ce-seed1", "crt-seed1")]
    assert json.loads((out / "comparison.json").read_text())["missing"] == []
    assert "failed" not in again.table()


def test_without_one_run_there_is_no_table(small, tmp_path):
    launcher = Pretended({"ce-seed0": [FAILED]})
    with pytest.raises(NothingTrained, match="every run failed; ce, seed 0: its own"):
        compare([small("ce")], out=tmp_path / "x", progress="none", launcher=launcher)
    assert json.loads((tmp_path / "x" / "state.json").read_text())["status"] == "incomplete"


def test_a_sweep_recommends_no_value_that_lacks_a_run(tmp_path):
    overrides = ("model.backbone.width=4", "stage1.epochs=1", "data.imbalance_ratio=10")
    names = [f"ce-lr-{value}" for value in ("0.1", "0.2")]
    launcher = Here({f"{names[0]}-seed0": [FAILED]})
    arguments = {"recipe": "ce", "overrides": overrides, "seeds": 1, "progress": "none"}
    out = tmp_path / "one"
    found = sweep("stage1.lr", ["0.1", "0.2"], **arguments, out=out, launcher=launcher)
    assert found.recommended == "0.2"
    assert found.table().splitlines()[2].split() == ["0.1", "failed", "-", "-", "-"]
    assert "its own mistake" in found.table()
    both = Pretended({f"{name}-seed0": [FAILED] for name in names})
    with pytest.raises(NothingTrained):
        sweep("stage1.lr", ["0.1", "0.2"], **arguments, out=tmp_path / "none", launcher=both)


@pytest.fixture
def launcher(monkeypatch):
    """What `--launcher` names, in place of processes."""
    made = []

    def named(*arguments, **options):
        made.append((arguments, options))
        return pretended

    pretended = Here({"ce-seed1": [FAILED]})
    pretended.made = made
    monkeypatch.setattr(launching, "named", named)
    return pretended


def test_the_command_ends_with_1_and_says_what_is_missing(launcher, tmp_path):
    line = ["compare", "ce", "--seeds", "2", "--set", "model.backbone.width=4", "--epochs", "1"]
    line += ["--out", str(tmp_path / "out"), "--launcher", "local", "--jobs", "3"]
    ended = CliRunner().invoke(cli, [*line, "--launcher-set", "threads=2"])
    assert ended.exit_code == 1
    assert "1 run has no results; the reason is below the table" in ended.stderr
    assert "ce, seed 1, failed: its own mistake" in ended.stdout
    [(arguments, _)] = launcher.made
    assert arguments == ("local", "3", {"threads": "2"})
    done = CliRunner().invoke(cli, line)
    assert done.exit_code == 0, done.stderr


def test_a_signal_ends_the_command_with_75_and_the_command_that_goes_on(
    launcher, tmp_path, monkeypatch
):
    def submitted(job):
        stopping._ask(15, None)
        return Scripted(job, Outcome("complete"), looks=10)

    launcher.submit = submitted
    line = ["compare", "ce", "--seeds", "2", "--set", "model.backbone.width=4", "--epochs", "1"]
    line += ["--launcher", "local"]
    monkeypatch.chdir(tmp_path)
    ended = CliRunner().invoke(cli, line)
    assert ended.exit_code == stopping.EXIT_CODE
    out = next(Path("runs").glob("compare-*"))
    again = f"this goes on: ccsam compare ce --epochs 1 --set model.backbone.width=4 --seeds 2 {''}"
    assert "stopped by SIGTERM, " in ended.stderr and again.strip() in ended.stderr
    assert f"--launcher local --out {out}" in ended.stderr
    assert json.loads((out / "state.json").read_text())["status"] == "interrupted"
