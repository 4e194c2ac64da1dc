"""One process at a time trains in a folder."""

import contextlib
import json
import os
import platform
import signal
import subprocess
import sys

import pytest

from keras_ccsam import comparison, recipes, writer
from keras_ccsam.runs import lock
from keras_ccsam.runs.claim import claim, release, released_if_it_fails
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.set_aside import set_aside

pytestmark = pytest.mark.any_backend


def state(folder):
    return json.loads((folder / "state.json").read_text())


def test_claim_and_release(tmp_path):
    claim(tmp_path, "reproduction", scale="tiny")
    claim(tmp_path, "reproduction", scale="tiny")  # of the same process, after an interruption
    assert state(tmp_path) == {
        "kind": "reproduction",
        "format": 1,
        "scale": "tiny",
        "status": "running",
        "process": writer.this_process(),
    }
    release(tmp_path, "reproduction", scale="tiny")
    complete = {"kind": "reproduction", "format": 1, "scale": "tiny", "status": "complete"}
    assert state(tmp_path) == complete


def test_of_two_at_once_one_is_refused(small, tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        mark = writer.this_process() | {"pid": other.pid, "started": writer._started(other.pid)}
        written = json.dumps({"kind": "comparison", "status": "running", "process": mark})
        (folder / "state.json").write_text(written)
        with pytest.raises(ValueError, match=rf"another process \({other.pid}\) trains in this"):
            comparison.compare([small("ce")], out=folder, progress="none")
        assert (folder / "state.json").read_text() == written
        assert [path.name for path in folder.iterdir()] == ["state.json"]
        other.kill()
        other.wait()
    claim(folder, "comparison")  # it was killed, and is gone
    assert state(folder)["process"] == writer.this_process()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"status": "running"}', '{"process": 3}'])
def test_a_state_of_an_older_version_is_nobodys(tmp_path, text):
    (tmp_path / "state.json").write_text(text)
    claim(tmp_path, "comparison")
    assert state(tmp_path)["status"] == "running"


# It imports no Keras.
TAKING = """
import sys
from pathlib import Path
from keras_ccsam_cli import light
try:
    light.library("runs.lock").take(Path(sys.argv[1]))
    print("taken", flush=True)
except ValueError as error:
    print(error, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def taking(folder, count=1):
    """Processes that try to take a folder at once, and what each of them says."""
    command = [sys.executable, "-c", TAKING, str(folder)]
    pipe = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        others = [
            stack.enter_context(subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True))
            for _ in range(count)
        ]
        yield [(other, other.stdout.readline().strip()) for other in others]


def test_of_several_at_once_one_takes_the_folder(tmp_path):
    with taking(tmp_path, 4) as tries:
        [winner] = [other.pid for other, said in tries if said == "taken"]
        told = json.loads((tmp_path / ".lock").read_text())
        assert told["pid"] == winner and told["host"] == platform.node()
        assert sum("trains in this folder" in said for _, said in tries) == 3


def test_a_folder_that_is_held_is_refused_until_its_process_is_gone(small, tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    with taking(folder) as [(other, said)]:
        assert said == "taken"
        words = rf"another process \({other.pid} on {platform.node()}\) trains in this folder"
        with pytest.raises(ValueError, match=words):
            lock.take(folder)
        with pytest.raises(ValueError, match=words):
            comparison.compare([small("ce")], out=folder, progress="none")
        with pytest.raises(ValueError, match=r"another process \(\d+ on"):
            set_aside(folder)
        (folder / "results").mkdir()
        with pytest.raises(ValueError, match=words):
            RunDirectory(folder).create(recipes.load("ce"), {})
        assert sorted(path.name for path in folder.iterdir()) == [".lock", "results"]
        other.send_signal(signal.SIGKILL)
        other.wait()
    # Its file is still there, and names a process that holds nothing any more.
    assert (folder / ".lock").exists() and lock.holder(folder) is None
    assert lock.take(folder)
    assert not lock.take(folder)  # it is held already
    lock.drop(folder)
    assert not (folder / ".lock").exists()
    lock.drop(folder)


def test_a_folder_that_was_removed_and_made_again_is_taken_anew(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    lock.take(folder)
    (folder / ".lock").unlink()
    assert lock.take(folder) and (folder / ".lock").exists()
    lock.drop(folder)


def test_a_claim_that_fails_lets_the_folder_go(tmp_path):
    claim(tmp_path, "comparison")
    with pytest.raises(KeyboardInterrupt), released_if_it_fails(tmp_path, "comparison"):
        raise KeyboardInterrupt
    assert state(tmp_path)["status"] == "interrupted"
    assert not (tmp_path / ".lock").exists()


def _no_locks(*_):
    raise OSError(38, "Function not implemented")


@pytest.mark.parametrize("without", ["module", "disk"])
def test_where_there_are_no_locks_the_file_is_one(tmp_path, monkeypatch, without):
    if without == "module":
        monkeypatch.setattr(lock, "fcntl", None)
    else:
        monkeypatch.setattr(lock.fcntl, "flock", _no_locks)
    file = tmp_path / ".lock"
    assert lock.take(tmp_path) and json.loads(file.read_text())["pid"] == os.getpid()
    assert not lock.take(tmp_path)
    lock.drop(tmp_path)
    assert not file.exists()
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        mark = writer.this_process() | {"pid": other.pid, "started": writer._started(other.pid)}
        file.write_text(json.dumps(mark))
        with pytest.raises(ValueError, match=rf"another process \({other.pid}\) trains"):
            lock.take(tmp_path)
        other.kill()
        other.wait()
    assert lock.take(tmp_path)  # that one is gone
    lock.drop(tmp_path)
    file.write_text(json.dumps(mark | {"machine": "another", "host": "node07"}))
    with pytest.raises(
        ValueError, match=r"\d+ on node07\).*If that process is gone, remove '.*lock'"
    ):
        lock.take(tmp_path)


def test_a_folder_of_a_later_version_is_refused_in_words(small, tmp_path):
    written = '{"kind": "comparison", "format": 2, "status": "complete"}'
    (tmp_path / "state.json").write_text(written)
    for begin in (
        lambda: claim(tmp_path, "comparison"),
        lambda: comparison.compare([small("ce")], out=tmp_path, progress="none"),
    ):
        with pytest.raises(ValueError, match=r"of format 2, which a later version .* up to 1"):
            begin()
    assert [path.name for path in tmp_path.iterdir()] == ["state.json"]
    assert (tmp_path / "state.json").read_text() == written
