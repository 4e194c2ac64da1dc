"""The folder of a run: never overwritten, no file half there."""

import errno
import json
import shutil

import pytest

from keras_ccsam import atomic, recipes, runs
from keras_ccsam.manifest import Damaged
from keras_ccsam.runs.folders import fresh, require_free
from keras_ccsam.runs.run_directory import RunDirectory, read_json, write_json

pytestmark = pytest.mark.any_backend


def test_a_folder_with_anything_in_it_is_refused(tmp_path):
    (tmp_path / "precious").write_text("x")
    with pytest.raises(ValueError, match=r"not empty.*Received: out="):
        runs.run(recipes.load("ce"), tmp_path)
    with pytest.raises(ValueError, match="is a file"):
        runs.run(recipes.load("ce"), tmp_path / "precious")
    with pytest.raises(ValueError, match="is a file"):
        runs.run(recipes.load("ce"), tmp_path / "precious" / "below")
    assert [p.name for p in tmp_path.iterdir()] == ["precious"]


def test_an_error_before_training_writes_nothing(tmp_path):
    out = tmp_path / "run"
    for override in ("data.imbalance_ratio=1e6", "model.backbone=resnet33"):
        with pytest.raises(ValueError, match="Received"):
            runs.run(recipes.load("ce", overrides=[override]), out)
    with pytest.raises(ValueError, match="'auto', 'bar', 'line' or 'none'"):
        runs.run(recipes.load("ce"), out, progress="loud")
    assert not out.exists()


def test_an_empty_folder_is_taken(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.create(recipes.load("ce"), {"backend": "none"})
    assert directory.status() == "running"
    assert directory.recipe() == recipes.load("ce")


def test_a_failing_run_is_marked(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    assert directory.status() == "absent"
    directory.create(recipes.load("ce"), {})
    with pytest.raises(KeyboardInterrupt), directory.recording():
        raise KeyboardInterrupt
    assert directory.status() == "failed"
    assert "KeyboardInterrupt" in read_json(directory.state_file)["error"]
    with pytest.raises(ValueError, match="the run is failed and has no results"):
        directory.results()


def test_a_file_is_whole_or_absent(tmp_path):
    target = tmp_path / "file.json"
    write_json(target, {"a": [1, 2], "b": [["[x\ny]", 1.5]]})
    before = target.read_text()
    assert json.loads(before) == {"a": [1, 2], "b": [["[x\ny]", 1.5]]}
    assert '"a": [1, 2]' in before
    with pytest.raises(ValueError), atomic.replacing(target) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert target.read_text() == before
    write_json(target, {"a": float("nan"), "b": [1.0, {"c": float("inf")}]})
    assert json.loads(target.read_text()) == {"a": None, "b": [1.0, {"c": None}]}
    assert [p.name for p in tmp_path.iterdir()] == ["file.json"]


def test_fresh_names_do_not_exist(tmp_path):
    first = fresh("ce-digits-lt", tmp_path)
    assert first.name.startswith("ce-digits-lt-2")
    first.mkdir()
    assert not fresh("ce-digits-lt", tmp_path).exists()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(ValueError, match=r"not a run directory.*Received: run="):
        runs.evaluate_run(tmp_path)
    with pytest.raises(ValueError, match=r"cannot read absent\.json"):
        read_json(tmp_path / "absent.json")


def test_a_full_disk_names_the_file(tmp_path):
    target = tmp_path / "report.html"
    target.write_text("before")
    with pytest.raises(OSError, match="No space left") as caught, atomic.replacing(target):
        raise OSError(errno.ENOSPC, "No space left on device")  # as a write does: of no file
    assert caught.value.filename == str(target) and caught.value.errno == errno.ENOSPC
    assert target.read_text() == "before" and list(tmp_path.iterdir()) == [target]
    # A failure of another file keeps its name.
    with pytest.raises(OSError, match="other") as caught, atomic.replacing(target):
        raise FileNotFoundError(errno.ENOENT, "No such file", "other")
    assert caught.value.filename == "other"


def test_a_name_that_is_no_utf_8_is_kept_in_json_and_refused_in_a_recipe(tmp_path):
    name = b"caf\xe9".decode("utf-8", "surrogateescape")
    write_json(tmp_path / "results.json", {"class_names": [name, "caf\u00e9"]})
    assert read_json(tmp_path / "results.json") == {"class_names": [name, "caf\u00e9"]}
    recipe = recipes.load("ce", overrides=[f"data.path={name}"])
    with pytest.raises(ValueError, match=r"rename the file or folder\. Received: 'caf"):
        RunDirectory(tmp_path / "run").create(recipe, {})
    assert not (tmp_path / "run").exists()


def test_of_two_that_come_at_once_one_is_refused(tmp_path, monkeypatch):
    directory, looked = RunDirectory(tmp_path / "run"), []

    def free_at_first(self):
        looked.append(self)
        if len(looked) > 1:
            require_free(self.path)

    directory.create(recipes.load("ce"), {"by": "the first"})
    monkeypatch.setattr(RunDirectory, "check_free", free_at_first)
    with pytest.raises(ValueError, match="not empty"):
        RunDirectory(tmp_path / "run").create(recipes.load("crt"), {"by": "the second"})
    assert len(looked) == 2 and read_json(directory.environment_file) == {"by": "the first"}


def test_a_run_that_was_killed_is_not_called_running(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.create(recipes.load("ce"), {})
    with pytest.raises(ValueError, match="is running and has no results yet"):
        directory.results()
    state = read_json(directory.state_file)
    state["process"] |= {"pid": 2**22 + 1, "started": 1}  # above the highest number of Linux
    write_json(directory.state_file, state)
    with pytest.raises(ValueError, match="was ended before it was done"):
        directory.results()
    assert directory.status() == "killed"


def test_where_a_full_disk_ends_a_run_the_first_file_is_named(tmp_path, monkeypatch):
    directory = RunDirectory(tmp_path / "run")
    directory.create(recipes.load("ce"), {})

    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    with pytest.raises(OSError, match=r"results\.json"), directory.recording():
        directory.write_results({})
    # It is written over what it was: that needs no room.
    assert directory.status() == "failed"
    assert "results.json" in read_json(directory.state_file)["error"]


def test_a_folder_that_vanishes_is_said_to_be_gone(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.create(recipes.load("ce"), {})
    gone = pytest.raises(Damaged, match="removed or renamed while it was trained")
    with gone, directory.recording():
        shutil.rmtree(directory.path)
        directory.write_results({})
    assert not directory.path.exists()
    # Whoever makes it anew finds it free.
    directory.create(recipes.load("ce"), {})
    assert directory.status() == "running"
