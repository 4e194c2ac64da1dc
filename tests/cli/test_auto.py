"""`ccsam auto`: what it prints and what it refuses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli as main

from tests import made_images

# The command around a tournament; the backends are tested in tests/auto.
pytestmark = pytest.mark.any_backend

SMALL = (
    "--set", "model.backbone.width=4", "--set", "model.backbone.features=8",
    "--set", "stage1.batch_size=128", "--budget", "100h", "--compile-cache", "off",
)  # fmt: skip
TWO = ("--recipe", "ce", "--recipe", "la", "--epochs", "1", *SMALL)


def ccsam(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(main, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A finished tournament, and what `--json` printed of it."""
    out = tmp_path_factory.mktemp("auto") / "out"
    code, printed, err = ccsam("auto", "digits-lt", *TWO, "--out", out, "--json")
    assert code == 0, err
    return out, json.loads(printed)


def test_json_is_the_result_alone(finished: tuple[Path, dict]) -> None:
    out, told = finished
    kept = json.loads((out / "auto.json").read_text(encoding="utf-8"))
    assert told == kept | {"path": str(out), "export": None}
    assert told["chosen"] in ("ce", "la") and told["test"]["num_samples"] == 500


def test_a_finished_one_is_told_again_and_exported(finished: tuple[Path, dict]) -> None:
    out, told = finished
    words = ("auto", "digits-lt", *TWO, "--out", out)
    code, printed, err = ccsam(*words, "--quiet")
    assert (code, err) == (0, "")
    assert printed.startswith(f"Chosen: {told['chosen']} (")
    line = f"ccsam export {out / 'winner'} --format onnx"
    assert printed.endswith(f"To deploy it: {line}\n")
    file = out / "winner" / "export" / "model.keras"
    for _ in range(2):  # the second time it is there
        code, printed, err = ccsam(*words, "--quiet", "--export", "keras")
        assert code == 0, err
        assert printed.endswith(f"{file}  for elsewhere\n") and file.is_file()


def test_what_it_was_begun_with_has_to_be_given_again(finished: tuple[Path, dict]) -> None:
    out, _ = finished
    code, printed, err = ccsam("auto", "digits-lt", *TWO, "--out", out, "--budget", "5h")
    assert (code, printed) == (2, "")
    assert "differs in budget" in err and len(err.splitlines()) == 1


def test_a_dry_run_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, printed, err = ccsam("auto", "digits-lt", *TWO, "--dry-run")
    assert code == 0, err
    assert "rung 1/1   2 recipes, 1 of 1 epochs" in printed
    assert "winner     trained again on all images, 1 of 1 epochs, then tested" in printed
    assert "runs/auto-digits-lt" in printed.replace("\\", "/")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_cannot_be_built_is_one_line(tmp_path: Path) -> None:
    words = ("--recipe", "ce", *SMALL, "--backbone")
    file = tmp_path / "other.weights.h5"
    file.write_bytes(b"no weights")
    code, printed, err = ccsam("auto", "digits-lt", *words, file, "--out", tmp_path / "out")
    assert code == 2 and not (tmp_path / "out").exists()
    assert "the file is damaged, or no HDF5 file" in err.splitlines()[-1]
    assert "Traceback" not in printed + err


def begun(words: Sequence[object], until: Path) -> subprocess.Popen[str]:
    """The command in a process of its own, once it has come to where a file appears."""
    # What a shell starts in the background ignores Ctrl-C, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_ccsam_cli", *map(str, words)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        signal.signal(signal.SIGINT, before)
    deadline = time.monotonic() + 300
    while not until.is_file():
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.02)
    return process


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_killed_and_interrupted_by_the_system_it_goes_on(
    finished: tuple[Path, dict], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = ("auto", "digits-lt", *TWO, "--out", out)
    first, second = (out / "rung-1" / f"{name}-seed0" for name in ("ce", "la"))
    killed = begun(words, first / "state.json")
    killed.kill()
    killed.communicate()
    interrupted = begun(words, second / "state.json")
    interrupted.send_signal(signal.SIGINT)
    err = interrupted.communicate()[1]
    assert interrupted.returncode == 75, err
    assert "ccsam auto digits-lt --budget 100h --recipe ce" in err
    done = (first / "results.json").stat().st_mtime_ns
    code, printed, err = ccsam(*words, "--json")
    assert code == 0, err
    assert (first / "results.json").stat().st_mtime_ns == done
    told, whole = json.loads(printed), finished[1]
    for key in ("chosen", "validation", "rungs", "test", "trained"):
        assert told[key] == whole[key]


def test_a_set_without_test_images_is_judged_by_validation_alone(tmp_path: Path) -> None:
    root = made_images.folder(tmp_path / "photos", (12, 8, 6))
    words = (*TWO[:6], "--set", "stage1.batch_size=16", *SMALL[6:], "--set", "data.test_fraction=0")
    code, printed, err = ccsam("auto", root, *words, "--out", tmp_path / "out", "--json")
    assert code == 0, err
    told = json.loads(printed)
    assert told["test"] is None and told["trained"]["on"] == "train"
    assert "report.html" not in told["files"]
    assert "There are no test images, so the validation accuracy is all there is." in (
        tmp_path / "out" / "summary.md"
    ).read_text(encoding="utf-8")
