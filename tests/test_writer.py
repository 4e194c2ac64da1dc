"""Which process writes a folder, and whether it is still there."""

import json
import os
import subprocess
import sys

import pytest

from keras_ccsam import writer

pytestmark = pytest.mark.any_backend


def test_this_process_is_known_again():
    own = json.loads(json.dumps(writer.this_process()))
    assert writer.standing(own) == writer.OWN
    assert own["pid"] == os.getpid() and len(own["machine"]) == 16


@pytest.mark.parametrize("without_proc", [False, True])
def test_another_process(monkeypatch, without_proc):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        mark = writer.this_process() | {
            "pid": child.pid,
            "started": writer._started(child.pid),
        }
        if without_proc:
            monkeypatch.setattr(writer, "_started", lambda pid: None)
        assert writer.standing(mark) == writer.HERE
        # The number belongs to somebody else now.
        later = mark | {"started": 1}
        assert writer.standing(later) == (writer.HERE if without_proc else writer.GONE)
        assert writer.standing(mark | {"machine": "another"}) == writer.UNKNOWN
        child.kill()
        child.wait()
        assert writer.standing(mark) == writer.GONE


@pytest.mark.parametrize("mark", [None, 3, {}, {"pid": "x"}, {"pid": -1}, {"pid": True}, []])
def test_what_is_no_process_is_unknown(mark):
    assert writer.standing(mark) == writer.UNKNOWN
