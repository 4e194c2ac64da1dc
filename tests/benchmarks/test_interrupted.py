"""An interrupted check leaves no process behind, whatever that computes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import pytest

from benchmarks import asked
from benchmarks.asked import Asked
from benchmarks.side_by_side import revisions

pytestmark = pytest.mark.any_backend

WAITS = """
import json, os, sys, time
print(json.dumps({"device": "cpu"}), flush=True)
sys.stdin.readline()
print(os.getpid(), file=open(os.environ["PIDS"], "a"))
time.sleep(600)
"""
CHECKS = """
import sys
from pathlib import Path
from benchmarks import check
from benchmarks.side_by_side import pair
pair.WORKER = Path(sys.argv[1])
sys.exit(check.main(["--against", "HEAD", "--backends", sys.argv[2]]))
"""


def test_an_interrupt_of_the_check_alone_ends_its_processes(tmp_path: Path) -> None:
    """While both compute: nobody else tells them."""
    worker_file, pids = tmp_path / "waits.py", tmp_path / "pids"
    worker_file.write_text(WAITS)
    pids.write_text("")
    command = [sys.executable, "-c", CHECKS, str(worker_file), keras.backend.backend()]
    own = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        cwd=revisions.ROOT,
        env=os.environ | {"PIDS": str(pids), "PYTHONPATH": str(revisions.ROOT)},
        # What a shell starts in the background ignores an interrupt, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        while len(pids.read_text().split()) < 2 and own.poll() is None:
            time.sleep(0.1)
        own.send_signal(signal.SIGINT)
        _, errors = own.communicate(timeout=120)  # of 600 that they would take
    finally:
        own.kill()
        own.communicate()  # a process or pipe that is left open fails a later test
    assert own.returncode == 130, errors
    assert errors.splitlines() == ["interrupted: the rows above were measured, the others were not"]
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


def test_a_process_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked, "GRACE", 0.2)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    command = [sys.executable, "-c", f"{code} print('{{}}', flush=True); time.sleep(600)"]
    with pytest.raises(KeyboardInterrupt), Asked("deaf", command, dict(os.environ)) as own:
        assert own.hear() == {}
        raise KeyboardInterrupt
    assert own._process.returncode == -signal.SIGKILL
