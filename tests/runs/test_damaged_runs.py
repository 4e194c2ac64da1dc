"""Runs on disk: a file that is not what was written is named, and a run of format 1 is read."""

import json
import shutil
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import manifest, reporting, runs
from keras_ccsam.manifest import Damaged
from keras_ccsam.runs.run_directory import RunDirectory, read_json, write_json

# `ccsam train crt` under PyTorch, before a run had a manifest; without its plots.
FORMAT_1 = Path(__file__).with_name("format_1.zip")

FILES = {
    "recipe.toml": RunDirectory.recipe,
    "environment.json": RunDirectory.environment,
    "indices.npz": RunDirectory.indices,
    "metrics.jsonl": RunDirectory.metrics,
    "checkpoints/stage1.weights.h5": RunDirectory.stage1_weights,
    "model.keras": RunDirectory.model,
    "results.json": RunDirectory.results,
    "validation.npz": RunDirectory.validation,
}


def _unpacked(folder: Path) -> Path:
    with zipfile.ZipFile(FORMAT_1) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of format 1; read only."""
    return _unpacked(tmp_path_factory.mktemp("old") / "run")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The same as a run of this format."""
    directory = RunDirectory(_unpacked(tmp_path / "run"))
    directory.manifest.note(*(directory.path / name for name in FILES), complete=True)
    write_json(directory.state_file, read_json(directory.state_file) | {"format": 2})
    return directory.path


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.any_backend
def test_a_run_of_format_1_is_evaluated_and_reported(old: Path, tmp_path: Path) -> None:
    directory = RunDirectory(old)
    assert directory.damage() is None and directory.status() == "complete"
    report = runs.evaluate_run(old)
    told = directory.results()["test"]
    assert report.overall == told["overall"]
    np.testing.assert_array_equal(report.confusion, told["confusion"])
    found = runs.open_run(old)
    stage1 = found.evaluate(found.stage1_model(), "test")
    np.testing.assert_array_equal(stage1.confusion, directory.results()["stage1"]["confusion"])
    page = reporting.report([old], out=tmp_path / "page.html", predictions=False)
    assert "crt" in page.read_text(encoding="utf-8")


@pytest.mark.any_backend
@pytest.mark.parametrize("harm", [truncated, flipped, emptied, Path.unlink])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_named_and_so_is_its_run(run: Path, name, harm) -> None:
    read, directory = FILES[name], RunDirectory(run)
    read(directory)
    harm(run / name)
    with pytest.raises(ValueError, match=rf"Received: run='{run}'") as caught:
        read(directory)
    gone = name == "recipe.toml" and harm is Path.unlink  # then it is no run directory
    assert gone or (isinstance(caught.value, Damaged) and f"{name} of the run" in str(caught.value))


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("results.json", ("evaluate",)),
        ("model.keras", ("evaluate",)),
        ("recipe.toml", ("evaluate",)),
        ("indices.npz", ("evaluate",)),
        ("model.keras", ("export", "--format", "keras")),
        ("model.keras", ("predict",)),
        ("checkpoints/stage1.weights.h5", ("landscape", "--of", "stage1")),
        ("metrics.jsonl", ("report",)),
        ("model.keras", ("sharpness",)),
    ],
)
def test_a_command_ends_with_1_and_one_line(run: Path, tmp_path: Path, name, arguments) -> None:
    flipped(run / name)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    command, *options = arguments
    images = [str(tmp_path)] if command == "predict" else []
    result = CliRunner().invoke(cli, [command, str(run), *images, *options])
    assert result.exit_code == 1, result.output
    line = result.stderr.splitlines()[-1]
    assert f"{name} of the run is not what was written" in line and str(run) in line
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


@pytest.mark.any_backend
def test_files_of_another_run_are_told_from_its_own(run: Path, old: Path) -> None:
    directory = RunDirectory(run)
    # Another network in a whole archive of its own.
    with zipfile.ZipFile(run / "model.keras", "a") as archive:
        archive.writestr("note", "another")
    with pytest.raises(Damaged, match=r"model\.keras of the run has .* bytes, not the"):
        directory.model()
    assert "model.keras has" in str(directory.damage())
    shutil.copy(old / "model.keras", run / "model.keras")
    assert directory.damage() is None
    directory.manifest.note(complete=True)
    (run / "validation.npz").rename(run / "mine.npz")
    content = json.loads((run / "manifest.json").read_text())
    del content["files"]["validation.npz"]
    (run / "manifest.json").write_text(json.dumps(manifest.sealed(content)))
    (run / "mine.npz").rename(run / "validation.npz")
    with pytest.raises(Damaged, match=r"validation\.npz of the run was put there later"):
        directory.validation()


@pytest.mark.any_backend
@pytest.mark.parametrize("harm", [truncated, flipped, Path.unlink])
def test_the_manifest_itself(run: Path, harm) -> None:
    harm(run / "manifest.json")
    with pytest.raises(Damaged, match=r"manifest\.json.*Received: run="):
        RunDirectory(run).results()
    assert "manifest.json" in str(RunDirectory(run).damage())


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "a/../../b", 3])
def test_a_manifest_names_no_file_outside_the_run(run: Path, name) -> None:
    content = json.loads((run / "manifest.json").read_text())
    content["files"] = {name: {"bytes": 1, "sha256": ""}}
    (run / "manifest.json").write_text(json.dumps(manifest.sealed(content)))
    if isinstance(name, str):
        with pytest.raises(Damaged, match="names files that cannot be"):
            RunDirectory(run).results()


@pytest.mark.any_backend
def test_a_run_of_a_later_version_is_refused_in_words(run: Path) -> None:
    directory = RunDirectory(run)
    write_json(directory.state_file, read_json(directory.state_file) | {"format": 3})
    for look in (directory.results, directory.damage, directory.recipe):
        with pytest.raises(ValueError, match="of format 3, which a later version"):
            look()
    result = CliRunner().invoke(cli, ["evaluate", str(run)])
    assert result.exit_code == 2


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("name", "harm"),
    [
        ("results.json", truncated),
        ("results.json", lambda path: path.write_text("{}")),
        ("model.keras", truncated),
        ("model.keras", flipped),
        ("indices.npz", truncated),
        ("validation.npz", flipped),
        ("checkpoints/stage1.weights.h5", truncated),
        ("state.json", truncated),
    ],
)
def test_what_is_seen_of_the_damage_of_a_run_of_format_1(tmp_path: Path, name, harm) -> None:
    directory = RunDirectory(_unpacked(tmp_path / "run"))
    harm(directory.path / name)
    assert name in str(directory.damage())
    if name == "model.keras":
        with pytest.raises(Damaged, match=r"model\.keras of the run is damaged"):
            directory.model()


@pytest.mark.any_backend
def test_a_state_that_cannot_be_read_does_not_hide_a_run_that_is_whole(run: Path) -> None:
    directory = RunDirectory(run)
    truncated(directory.state_file)
    assert directory.status() == "complete" and directory.damage() is None
    assert directory.results()["recipe"] == "crt"
    truncated(directory.results_file)
    assert "results.json" in str(directory.damage())


@pytest.mark.any_backend
def test_weights_that_were_deleted_to_save_room_are_no_damage(run: Path) -> None:
    directory = RunDirectory(run)
    for path in (directory.stage1_file, directory.model_file):
        path.unlink()
        assert directory.damage() is None
    directory.results_file.unlink()
    assert directory.damage() == "results.json is no longer there"


@pytest.mark.any_backend
def test_a_run_notes_what_it_writes(finished) -> None:
    directory = RunDirectory(finished.path)
    content = json.loads((finished.path / "manifest.json").read_text())
    assert set(content["files"]) == {*FILES, "metrics.csv"} and content["complete"]
    for name, said in content["files"].items():
        assert manifest.difference(finished.path / name, said) is None, name
    assert read_json(directory.state_file)["format"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert directory.damage() is None
    assert not (finished.path / ".lock").exists()
