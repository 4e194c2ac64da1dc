"""One process at a time trains in a folder."""

import json
import subprocess
import sys

import pytest

from keras_ccsam import comparison, writer
from keras_ccsam.runs.claim import claim, release

pytestmark = pytest.mark.any_backend


def state(folder):
    return json.loads((folder / "state.json").read_text())


def test_claim_and_release(tmp_path):
    claim(tmp_path, "reproduction", scale="tiny")
    claim(tmp_path, "reproduction", scale="tiny")  # of the same process, after an interruption
    assert state(tmp_path) == {
        "kind": "reproduction",
        "scale": "tiny",
        "status": "running",
        "process": writer.this_process(),
    }
    release(tmp_path, "reproduction", scale="tiny")
    assert state(tmp_path) == {"kind": "reproduction", "scale": "tiny", "status": "complete"}


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
