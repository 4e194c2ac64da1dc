"""`--json` prints JSON on stdout and nothing else; `--quiet` prints the result alone."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import pytest
from click.testing import CliRunner, Result
from keras_ccsam_cli import runtime
from keras_ccsam_cli.main import cli

from keras_ccsam import recipes
from keras_ccsam.data.sources import digits
from keras_ccsam.recipes import tables

SHORT = ("--epochs", "1", "--set", "stage1.warmup_epochs=0", "--set", "model.backbone.width=4")


def ccsam(*arguments: str | Path) -> Result:
    """Run a command that has to succeed."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result


def content(*arguments: str | Path) -> Any:
    """What a command prints as JSON; anything else on stdout is an error."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(ccsam(*arguments, "--json").stdout, parse_constant=refuse)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run, trained with --json, whose output is kept beside it."""
    folder = tmp_path_factory.mktemp("runs") / "ce"
    result = ccsam("train", "ce", *SHORT, "--out", folder, "--json")
    (folder.parent / "stdout.json").write_text(result.stdout, encoding="utf-8")
    (folder.parent / "stderr.txt").write_text(result.stderr, encoding="utf-8")
    return folder


@pytest.mark.any_backend
def test_train(run: Path) -> None:
    printed = json.loads((run.parent / "stdout.json").read_text(encoding="utf-8"))
    written = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert printed == written | {"path": str(run)}
    told = (run.parent / "stderr.txt").read_text(encoding="utf-8")
    assert "stage 1/1  epoch 1/1" in told
    assert "note: the imbalance ratio is" in told


@pytest.mark.any_backend
def test_evaluate(run: Path) -> None:
    written = json.loads((run / "results.json").read_text(encoding="utf-8"))
    assert content("evaluate", run)["confusion"] == written["test"]["confusion"]


@pytest.mark.any_backend
def test_compare(run: Path, tmp_path: Path) -> None:
    options = ("compare", "ce", "crt", *SHORT, "--set", "stage2.epochs=1", "--out", tmp_path / "c")
    planned = content(*options, "--dry-run")
    assert [r["stage1_from"] for r in planned["runs"]] == [None, "ce-seed0"]
    assert not (tmp_path / "c").exists()
    result = ccsam(*options, "--json")
    assert [row["recipe"] for row in json.loads(result.stdout)["rows"]] == ["ce", "crt"]
    assert "run 2/2: crt, seed 0 (first stage of ce-seed0)" in result.stderr
    # Now they are there, and nothing is trained.
    again = ccsam(*options, "--quiet")
    assert again.stdout.startswith("recipe ")
    assert again.stdout.rstrip().endswith(str(tmp_path / "c"))
    assert "run 2/2" not in again.stdout
    assert again.stderr == ""
    assert all(r["finished"] for r in content(*options, "--dry-run")["runs"])
    text = ccsam(*options, "--dry-run").stdout
    assert "runs      2, of which 2 are finished" in text


@pytest.mark.any_backend
def test_quiet_prints_the_result_alone(tmp_path: Path) -> None:
    result = ccsam("train", "ce", *SHORT, "--out", tmp_path / "q", "--quiet")
    assert result.stdout.startswith("accuracy ")
    assert result.stdout.rstrip().endswith(f"The run is in {tmp_path / 'q'}")
    assert "epoch" not in result.output and "note:" not in result.output


@pytest.mark.any_backend
def test_a_warning_is_not_lost_with_quiet(tmp_path: Path) -> None:
    words = ("train", "ce", *SHORT[:2], "--set", "stage1.boundaries=[30]", "--out", tmp_path / "w")
    result = ccsam(*words, "--quiet")
    assert "warning: stage1.boundaries=[30]" in result.stderr
    assert "warning:" not in result.stdout


TOY = """
title = "Toy"
source = "Nobody"
[[rows]]
label = "CE"
recipe = "ce"
data = "cifar10-lt"
imbalance_ratio = 20
published = 77.25
"""


@pytest.mark.any_backend
def test_reproduce(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = content("reproduce")
    assert [row["table"] for row in listed] == list(tables.names())
    assert listed[0].keys() == {"table", "rows", "title", "source"}
    monkeypatch.setattr(tables, "load", lambda name: tables.Table.from_toml(TOY))
    words = ("reproduce", "toy", "--scale", "tiny", *SHORT, "--out", tmp_path / "r")
    planned = content(*words, "--dry-run")
    assert (planned["runs"], planned["finished"], planned["stage1_to_train"]) == (1, 0, 1)
    assert not (tmp_path / "r").exists()
    result = ccsam(*words, "--json")
    assert json.loads(result.stdout)["rows"][0]["label"] == "CE"
    assert "run 1/1: ce, seed 0" in result.stderr
    assert ccsam(*words, "--quiet").stdout.startswith("row ")


@pytest.mark.any_backend
def test_lists() -> None:
    assert [row["recipe"] for row in content("recipes", "list")] == list(recipes.names())
    assert {row["dataset"] for row in content("data", "list")} == set(recipes.settings())
    assert content("recipes", "show", "ce", "--set", "seed=3")["seed"] == 3
    assert content("recipes", "show", "ce") == recipes.load("ce").to_dict()


@pytest.mark.any_backend
def test_data_describe() -> None:
    facts = content("data", "describe", "digits-lt")
    assert facts["read"] is True
    assert "128 / 2 = 64 in place of 50" in facts["note"]
    assert facts["classes"][9] == {
        "label": 9, "name": "9", "train": 2, "validation": 0, "test": 50, "group": "few",
    }  # fmt: skip
    assert content("data", "describe", "cifar10-lt")["read"] is False
    text = ccsam("data", "describe", "digits-lt").stdout
    assert "note: the imbalance ratio is 128 / 2 = 64 in place of 50" in text


def test_doctor() -> None:
    facts = content("doctor")
    assert facts["backend"]["name"] == keras.config.backend()
    assert facts["packages"]["keras"] == keras.__version__
    assert facts["started"] is None


@pytest.mark.any_backend
def test_a_dry_run_reads_and_downloads_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("images were read")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(digits, "load_digits", refuse)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", refuse)
    assert "12406 images" in ccsam("train", "--data", "cifar10-lt", "--dry-run").stdout
    assert content("train", "--data", "cifar10-lt", "--dry-run")["class_counts"][9] == 50
    assert content("train", "--dry-run")["class_counts"][9] == 2
    ccsam("compare", "ce", "crt", "--dry-run")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.any_backend
def test_a_dry_run_starts_no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(runtime.sys.modules, "keras")
    monkeypatch.setattr(runtime, "gpus", lambda: ["/dev/nvidia0"])
    monkeypatch.setattr(runtime.os, "environ", dict(os.environ))
    choice = runtime.prepare(None, "gpu:0", dry=True)
    expected = runtime.device_variables(choice.value, "cpu")
    assert {key: runtime.os.environ[key] for key in expected} == expected


@pytest.mark.any_backend
@pytest.mark.slow
def test_on_a_terminal_of_forty_columns(tmp_path: Path) -> None:
    # A terminal of its own, because nothing else draws the bars as a user sees them.
    pty = pytest.importorskip("pty")
    script = (
        "import os, pty, sys\n"
        "words = [sys.executable, '-m', 'keras_ccsam_cli', *sys.argv[1:]]\n"
        "sys.exit(os.waitstatus_to_exitcode(pty.spawn(words)))\n"
    )
    assert pty
    words = ("train", "crt", *SHORT, "--set", "stage2.epochs=1", "--set", "stage1.batch_size=512")
    done = subprocess.run(
        [sys.executable, "-c", script, *words, "--out", str(tmp_path / "run")],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        env=os.environ | {"COLUMNS": "40", "TERM": "xterm"},
    )
    # Not as text: Python would take a carriage return for the end of a line.
    rows = done.stdout.decode().replace("\x1b[K", "").split("\n")
    drawn = [part for row in rows for part in row.split("\r") if "─" in part or "━" in part]
    assert drawn and max(map(len, drawn)) < 40
    stay = [row.rstrip("\r").split("\r")[-1] for row in rows]
    assert [row[:9] for row in stay if " epoch " in row] == ["stage 1/2", "stage 2/2"]
