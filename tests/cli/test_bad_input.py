"""Wrong input is refused with exit code 2 and one line, and nothing is written or lost.

The line names what was wrong and what would be right.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli import launching, light, runtime
from keras_ccsam_cli.commands import compare, predict, train
from keras_ccsam_cli.main import cli
from keras_ccsam_cli.options import parse_seeds

from keras_ccsam import runs
from keras_ccsam.runs import experiment, folders
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.trained_run import TrainedRun

pytestmark = pytest.mark.any_backend

Refused = Callable[..., str]


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, with the content of the files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own current folder, with one wrong file of each kind."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (20, 32, 32, 3), dtype="uint8")
    y = np.arange(20) % 10
    whole = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    np.savez(tmp_path / "labels.npz", **(whole | {"y_train": y + 1}))
    np.savez(tmp_path / "counts.npz", x=x, y=y, class_counts=[3, 1, *[2] * 8])
    np.savez(tmp_path / "negative.npz", x=x, y=y - 1)
    np.savez(tmp_path / "other.npz", images=x)
    np.savez(tmp_path / "whole.npz", **whole)
    content = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "truncated.npz").write_bytes(content[: len(content) // 2])
    (tmp_path / "whole.npz").unlink()
    (tmp_path / "broken.toml").write_text("seed = \n", encoding="utf-8")
    deep = "seed = " + "[" * 20_000 + "]" * 20_000
    (tmp_path / "deep.toml").write_text(deep, encoding="utf-8")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.toml").write_text('name = "ce"\n', encoding="utf-8")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("precious", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(workplace: Path) -> Refused:
    """Run a command that has to be refused; return its one line."""

    def run(*arguments: str) -> str:
        before = snapshot(workplace)
        result = CliRunner().invoke(cli, list(arguments))
        assert result.exit_code == 2, result.output
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stdout == ""
        assert snapshot(workplace) == before, "something was written or lost"
        line: str = result.stderr.strip()
        assert line.startswith("ccsam: error: ")
        return line

    return run


CIFAR = ("train", "--data", "cifar10-lt", "--data-path")

# What is wrong -> the command line, what the line says is wrong, what it says would be right.
CASES: dict[str, tuple[tuple[str, ...], str, str]] = {
    "unknown recipe": (("train", "ccsamm"), "'ccsamm'", "did you mean 'ccsam"),
    "unknown recipe key": (("train", "--set", "stage1.epocs=3"), "stage1.epocs", "'stage1.epochs'"),
    "second stage of a recipe without one": (
        ("train", "ce", "--set", "stage2.epochs=3"),
        "'ce' has no second stage",
        "such as 'crt' or 'ccsam'",
    ),
    "the same for a comparison": (
        ("compare", "ce", "sam", "--set", "stage2.epochs=3"),
        "'ce' has no second stage",
        "such as 'crt' or 'ccsam'",
    ),
    "pattern that is none": (
        ("train", "--set", "stage1.method.perturb=("),
        "perturb='('",
        "regular expression",
    ),
    "the same in a dry run": (
        ("train", "--dry-run", "--set", "stage1.method.perturb=("),
        "perturb='('",
        "regular expression",
    ),
    "pattern without a match": (
        ("train", "--set", "stage1.method.perturb=foo"),
        "perturb='foo'",
        "the first: conv1/kernel",
    ),
    "pattern without a match in a dry run": (
        ("train", "--dry-run", "--set", "stage1.method.perturb=foo"),
        "perturb='foo'",
        "the first: conv1/kernel",
    ),
    "pattern without a match in a comparison": (
        ("compare", "ccsam", "--set", "stage1.method.perturb=foo"),
        "perturb='foo'",
        "the first: conv1/kernel",
    ),
    "setting without a value": (("train", "--set", "stage1.epochs"), "stage1.epochs", "key=value"),
    "a number in place of a table": (("train", "--set", "stage1=3"), "stage1=3", "a table"),
    "a number in place of the model": (("train", "--set", "model=3"), "model=3", "a table"),
    "negative ratio": (("train", "--imbalance-ratio", "-3"), "-3", "at least 1"),
    "ratio that is no number": (
        ("train", "--imbalance-ratio", "ten"),
        "'ten'",
        "neither a number nor none",
    ),
    "the same of a dataset": (
        ("data", "describe", "digits-lt", "--imbalance-ratio", "ten"),
        "'ten'",
        "neither a number nor none",
    ),
    "ratio that empties a class": (("train", "--imbalance-ratio", "100000"), "100000", "128"),
    "negative epochs": (("train", "--epochs", "-1"), "stage1.epochs=-1", "at least"),
    "seed out of range": (("train", "--seed", "-1"), "seed=-1", "at least 0"),
    "unknown dataset": (("train", "--data", "digit-lt"), "'digit-lt'", "'digits-lt'"),
    "unknown dataset to describe": (("data", "describe", "cifar"), "'cifar'", "cifar10-lt"),
    "labels out of range": ((*CIFAR, "labels.npz"), "y_train[9]=10", "from 0 to 9"),
    "negative labels": (("data", "describe", "negative.npz"), "y[0]=-1", "at least 0"),
    "counts that do not match": (
        ("data", "describe", "counts.npz"),
        "class_counts[0]=3",
        "class 0 has 2 images",
    ),
    "other arrays": (("data", "describe", "other.npz"), "other.npz", "arrays are x and y"),
    "missing file": ((*CIFAR, "absent.npz"), "absent.npz", "cifar-10-batches-py"),
    "missing arrays": (("data", "describe", "absent.npz"), "absent.npz", "No such file"),
    "truncated file": ((*CIFAR, "truncated.npz"), "truncated", "x_train, y_train, x_test, y_test"),
    "truncated arrays": (("data", "describe", "truncated.npz"), "truncated.npz", "in one npz"),
    "missing recipe file": (("train", "absent.toml"), "absent.toml", "no such recipe file"),
    "broken recipe file": (("train", "broken.toml"), "broken.toml", "key = value"),
    "output folder that exists": (("train", "--out", "taken"), "'taken'", "name another"),
    "the same, in a dry run": (
        ("train", "--dry-run", "--out", "taken"),
        "'taken'",
        "name another",
    ),
    "output folder without a name": (("train", "--out", ""), "out=''", "needs a name"),
    "a nameless folder of a comparison": (
        ("compare", "ce", "--out", " "),
        "out=' '",
        "needs a name",
    ),
    "the same for a table": (("reproduce", "table1", "--out", ""), "out=''", "needs a name"),
    "output folder of too long a name": (
        ("train", "--dry-run", "--out", "long" * 100),
        "out='longlong",
        "file name too long; name another",
    ),
    "the same in a comparison of recipes": (
        ("compare", "ce", "--out", "long" * 100),
        "out='longlong",
        "file name too long; name another",
    ),
    "comparison into it": (("compare", "ce", "--out", "taken"), "'taken'", "name another"),
    "output folder below a file": (("train", "--out", "broken.toml/run"), "broken.toml", "a file"),
    "more epochs than anyone has time for": (
        ("train", "--epochs", "99999999999"),
        "stage1.epochs=99999999999",
        "at most 1,000,000",
    ),
    "a number beyond 64 bits": (
        ("train", "--set", "stage1.epochs=99999999999999999999"),
        "stage1.epochs=99999999999999999999",
        "64 bits",
    ),
    "the same number for a comparison": (
        ("compare", "ce", "--set", "stage1.epochs=99999999999999999999"),
        "stage1.epochs=99999999999999999999",
        "64 bits",
    ),
    "the same when it is shown": (
        ("recipes", "show", "ce", "--set", "stage1.epochs=99999999999999999999"),
        "stage1.epochs=99999999999999999999",
        "64 bits",
    ),
    "a recipe that is nested too deep": (("train", "deep.toml"), "deep.toml", "32 deep"),
    "the same in a comparison": (("compare", "ce", "deep.toml"), "deep.toml", "32 deep"),
    "the same in a setting": (
        ("train", "--dry-run", "--set", "stage1.boundaries=" + "[" * 20_000),
        "stage1.boundaries=",
        "32 deep",
    ),
    "no seeds": (("compare", "ce", "--seeds", "0"), "--seeds=0", "at least 1"),
    "the same seed twice": (("compare", "ce", "--seeds", "1,1"), "--seeds=1,1", "different"),
    "the same recipe twice": (("compare", "ce", "ce"), "['ce', 'ce']", "a name of its own"),
    "unknown table": (("reproduce", "tabel1"), "'tabel1'", "'table1'"),
    "unknown scale": (("reproduce", "table1", "--scale", "smal"), "scale='smal'", "'small'"),
    "a table into a folder with anything else": (
        ("reproduce", "table1", "--scale", "tiny", "--out", "taken"),
        "'taken'",
        "name another",
    ),
    "the same in a dry run of a table": (
        ("reproduce", "table1", "--dry-run", "--out", "taken"),
        "'taken'",
        "name another",
    ),
    "a table's data that is nowhere": (
        ("reproduce", "table1", "--data-path", "absent"),
        "absent",
        "cifar-10-batches-py",
    ),
    "unknown key for a table": (
        ("reproduce", "table1", "--set", "stage1.epocs=3"),
        "stage1.epocs",
        "'stage1.epochs'",
    ),
    "not a run": (("evaluate", "taken"), "'taken'", "not a run directory"),
    "a file of a run": (("evaluate", "run/recipe.toml"), "it is a file", "its folder, 'run'?"),
    "any other file": (("evaluate", "broken.toml"), "broken.toml", "it is a file."),
    "a run without a name": (("evaluate", ""), "=''", "needs a name"),
    "a run of too long a name": (("evaluate", "long" * 100), "longlong", "no such folder"),
    "a run that is not there": (("evaluate", "absent"), "'absent'", "not a run directory"),
    "unknown part": (("evaluate", "taken", "--split", "dev"), "'dev'", "'validation'"),
    "unknown backend": (("train", "--backend", "mxnet"), "mxnet", "tensorflow, jax, torch"),
    "unknown device": (("train", "--device", "tpu"), "tpu", "cpu, gpu or gpu:N"),
}


@pytest.mark.parametrize("case", CASES)
def test_it_is_refused(case: str, refused: Refused) -> None:
    arguments, wrong, right = CASES[case]
    line = refused(*arguments)
    assert wrong in line, f"{line!r} does not say what was wrong"
    assert right in line, f"{line!r} does not say what would be right"


def test_a_backend_that_is_not_installed(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "installed", lambda name: name == keras.config.backend())
    other = "jax" if keras.config.backend() == "torch" else "torch"
    line = refused("train", "--backend", other)
    assert f'pip install "keras-ccsam[{other}]"' in line
    assert line.endswith(f"Received: --backend={other}")


def test_a_gpu_that_is_not_there(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "gpus", lambda: [])
    assert "use --device cpu" in refused("train", "--device", "gpu")


def test_a_folder_that_nothing_may_be_written_into(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Not by its mode: whoever runs the tests may be above such things.
    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    for command in (["train"], ["train", "--dry-run"], ["compare", "ce"], ["reproduce", "table1"]):
        line = refused(*command, "--out", "new/run")
        assert "the output folder cannot be made: nothing may be written into" in line
        assert line.endswith("name another. Received: out='new/run'")


@pytest.fixture
def all_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing may be written anywhere, and the command line looks before Keras is imported."""
    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    monkeypatch.setattr(light, "imported", lambda: False)


@pytest.mark.usefixtures("all_read_only")
def test_a_read_only_place_is_refused_before_the_start(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("Keras was started")

    for command in (train, compare, predict):
        monkeypatch.setattr(command, "prepare", started, raising=False)
    monkeypatch.setattr(launching, "prepare", started)
    for words in (["train"], ["compare", "ce"]):
        assert refused(*words).endswith("name another. Received: out='runs'")
    line = refused("train", "--resume", "run")
    assert "nothing may be written there; copy the run to another place" in line
    line = refused("predict", "run", "x.png", "-o", "out.csv")
    assert "nothing may be written into this folder" in line
    assert line.endswith("Received: --output=out.csv")


@pytest.mark.usefixtures("all_read_only", "workplace")
def test_a_dry_run_needs_no_room() -> None:
    result = CliRunner().invoke(cli, ["train", "--dry-run"])
    assert result.exit_code == 0, result.output


def test_a_read_only_run_is_not_gone_on_with(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "check_resumable", lambda _: None)
    monkeypatch.setattr(folders.os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="nothing may be written there; copy the run"):
        runs.resume(workplace / "run")


def test_a_folder_that_the_system_does_not_make(
    refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Path.mkdir

    def mkdir(self: Path, *arguments: bool, **options: bool) -> None:
        if self.name == "new":
            raise OSError(errno.EROFS, "Read-only file system", str(self))
        made(self, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", mkdir)
    small = ("--set", "model.backbone.width=4", "--compile-cache", "off", "--quiet")
    line = refused("train", "ce", "--out", "new", *small)
    assert "cannot be made: read-only file system; name another. Received: out='new'" in line


@pytest.mark.parametrize("command", ["landscape", "sharpness", "bound", "report"])
def test_a_read_only_run_is_refused_before_its_network_is_read(
    command: str, finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(self: RunDirectory) -> None:
        raise AssertionError("the network was read")

    monkeypatch.setattr(folders.os, "access", lambda *_: False)
    monkeypatch.setattr(RunDirectory, "model", read)
    monkeypatch.setattr(TrainedRun, "stage1_model", read)
    before = snapshot(finished.path)
    result = CliRunner().invoke(cli, [command, str(finished.path), "--quiet"])
    assert result.exit_code == 2, result.output
    assert "nothing may be written there; " in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert snapshot(finished.path) == before


@pytest.mark.parametrize(
    ("text", "seeds"), [("1", 1), ("12", 12), ("0,7", (0, 7)), ("3, 1", (3, 1))]
)
def test_seeds(text: str, seeds: int | tuple[int, ...]) -> None:
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", "-1", "1.5", "0,0", "1,,2", "all", "0"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"Received: --seeds="):
        parse_seeds(text)
