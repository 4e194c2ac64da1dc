"""Runs in processes of this machine: the same bits, nobody left behind, a share of the machine."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

import keras_ccsam
from keras_ccsam import launching
from keras_ccsam.comparison import compare
from keras_ccsam.launching import local
from keras_ccsam.launching.job import job_of
from keras_ccsam.runs import lock
from keras_ccsam.runs.run_directory import RunDirectory
from tests.launching.same_runs import assert_same

BROKEN = """
import keras

class Broken(keras.losses.Loss):
    def call(self, y_true, y_pred):
        raise OSError(28, "No space left on device", "/full/disk")
"""


def until(condition, seconds=120):
    """Wait for something that happens in another process."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    assert condition()


@pytest.fixture(autouse=True)
def search(the_backend_alone, monkeypatch):
    """A launcher's processes search for modules where this one does."""
    monkeypatch.setattr(sys, "path", [*the_backend_alone, *sys.path])


@pytest.fixture
def broken(small, tmp_path, monkeypatch):
    """A recipe whose loss fails where it is trained, in code of the user's own."""
    (tmp_path / "mine.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    return small("ce", 'name="broken"', 'stage1.loss.name="mine:Broken"')


# Bits of another process on each backend: tests/runs/test_determinism.py.
@pytest.mark.slow
@pytest.mark.any_backend
def test_a_run_of_another_process_is_the_same_to_the_last_bit(broken, small, tmp_path, capfd):
    """And one beside it that fails is marked, and takes nothing with it."""
    out = tmp_path / "out"
    compare([small("ce")], out=tmp_path / "serial", progress="none")
    capfd.readouterr()
    found = compare(
        [broken, small("ce")], out=out, progress="line", launcher=launching.Local(2, threads=1)
    )
    assert_same(tmp_path / "serial" / "ce-seed0", found.path / "ce-seed0")
    assert "stage 1/1" in (out / "logs" / "ce-seed0.log").read_text(encoding="utf-8")
    [run] = found.missing
    assert (run.recipe, run.seed, run.how) == ("broken", 0, "failed")
    assert "No space left on device" in run.reason
    header, (lost, there) = found.cells()
    assert lost[:2] == ["broken", "failed"] and set(lost[2:]) == {"-"}
    assert there[0] == "ce" and float(there[header.index("overall")]) > 0
    assert "broken, seed 0, failed: OSError" in found.table()
    told = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    assert told["missing"][0]["reason"] == run.reason and told["rows"][0]["overall"]["mean"] is None
    assert json.loads((out / "state.json").read_text())["status"] == "incomplete"
    assert "Traceback" in (out / "logs" / "broken-seed0.log").read_text(encoding="utf-8")
    printed = capfd.readouterr()
    assert "run 1/2 broken-seed0: failed: OSError" in printed.out and not printed.err


@pytest.mark.slow
@pytest.mark.any_backend
def test_one_that_is_asked_to_stop_saves_and_goes_on_to_the_same_end(small, tmp_path):
    recipe = small("ce", "stage1.epochs=15")
    compare([recipe], out=tmp_path / "whole", progress="none")
    whole, run = tmp_path / "whole" / "ce-seed0", RunDirectory(tmp_path / "out" / "ce-seed0")
    options = {"record": {}, "trackers": [], "tested": True}
    options |= {"feature_cache": "off", "compile_cache": "off"}
    job = job_of(recipe, run.path, tmp_path / "out" / "logs" / "ce.log", None, **options)
    launcher = launching.Local(1, threads=1)
    launcher.open(1, tmp_path)
    task = launcher.submit(job)
    until(lambda: run.metrics_file.exists() and len(run.metrics()) > 2)
    task.stop()
    until(task.done)
    outcome = task.outcome()
    assert outcome.status == "stopped" and "stopped by SIGTERM, saved" in outcome.reason
    assert (run.status(), lock.holder(run.path)) == ("interrupted", None)
    task = launcher.submit(job)
    until(task.done)
    outcome = task.outcome()
    assert outcome.status == "complete", outcome
    assert outcome.peak > 50e6
    assert_same(whole, run.path)
    launcher.close()


@pytest.mark.any_backend
def test_one_that_is_killed_is_lost_and_one_that_cannot_begin_has_failed(small, tmp_path):
    launcher = launching.Local(1, threads=1)
    launcher.open(1, tmp_path)
    job = job_of(small("ce"), tmp_path / "x", tmp_path / "x.log", None)
    task = launcher.submit(job)
    task.process.kill()
    until(task.done)
    assert (task.outcome().status, task.outcome().reason.split(" (")[0]) == (
        "lost",
        "its process was ended by SIGKILL",
    )
    assert launcher.room(0) and not launcher.room(1)
    # Before it has begun there is nothing to save.
    task = launcher.submit(job)
    task.stop()
    until(task.done)
    assert task.outcome().status == "stopped"
    launcher.environment = lambda job: {"PYTHONHOME": str(tmp_path)}
    task = launcher.submit(job)
    until(task.done)
    assert (task.outcome().status, launcher.submit(job).kill()) == ("failed", None)
    assert (tmp_path / "x.log").stat().st_size > 0
    assert not (tmp_path / "x").exists()


PARENT = """
import json, subprocess, sys, time
command, told = json.loads(sys.argv[1]), json.loads(sys.argv[2])
child = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
child.stdin.write(json.dumps(told).encode() + b"\\n")
child.stdin.flush()
print(child.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.any_backend
def test_a_process_ends_with_its_parent_even_before_it_has_imported_keras(tmp_path):
    told = {"job": {}, "search": sys.path}
    arguments = [json.dumps(local._COMMAND), json.dumps(told)]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, *arguments], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        until(lambda: Path(f"/proc/{child}/cmdline").read_bytes().count(b"child.py") == 1)
        time.sleep(0.2)
        assert _runs(child)
        parent.kill()
        parent.wait()
    until(lambda: not _runs(child), seconds=20)


def _runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Idle:
    """A task whose process holds nothing."""

    slot = 0

    class process:
        pid = 0

    def done(self):
        return False


@pytest.mark.any_backend
def test_a_run_waits_where_memory_would_not_hold_it(monkeypatch):
    launcher = launching.Local(4)
    launcher.open(4, Path("x"))
    launcher._peak = 1000
    launcher._tasks = [Idle()]
    memory = {"left": 5000, "held": (200, 300)}
    monkeypatch.setattr(local, "available", lambda: memory["left"])
    monkeypatch.setattr(local, "held", lambda pid: memory["held"])
    # It needs 1200, and the one that runs, with 200, still takes 1000 of what is free.
    assert launcher.room(1) and not launcher.room(4)
    memory["left"] = 2199
    assert not launcher.room(1)
    memory["left"] = 2200
    assert launcher.room(1)
    # The first one is begun whatever there is: nothing can be waited for.
    memory["left"] = 0
    assert launcher.room(0) and not launcher.room(1)
    # One that was larger than was expected counts.
    memory.update(left=2200, held=(2000, 2000))
    assert not launcher.room(1)
    monkeypatch.setattr(local, "available", lambda: None)
    assert launcher.room(1)


@pytest.mark.any_backend
def test_cores_and_gpus_are_shared_out(monkeypatch):
    monkeypatch.setattr(local, "cores", lambda: 8)
    empty = {"CUDA_VISIBLE_DEVICES": ""}

    def opened(count, environment, **options):
        launcher = launching.Local(environment=environment, **options)
        return launcher, launcher.open(count, Path("x"))

    launcher, words = opened(20, empty)
    assert words.startswith("8 at a time, 1 thread each") and "GPU" not in words
    launcher, words = opened(3, empty)
    assert words.startswith("3 at a time, 2 threads each")
    assert {slot["OMP_NUM_THREADS"] for slot in launcher._slots} == {"2"}
    assert {slot["NPROC"] for slot in launcher._slots} == {"2"}
    # What the user has said of threads stays.
    launcher, words = opened(20, empty | {"OMP_NUM_THREADS": "4"})
    assert words.startswith("2 at a time, 4 threads each")
    _, words = opened(50, empty, jobs=50)
    assert "50 at a time, 1 thread each, which is more than the 8 cores" in words
    launcher, words = opened(9, {"CUDA_VISIBLE_DEVICES": "4,6"})
    assert words.startswith("2 at a time, 4 threads each, 2 GPUs")
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in launcher._slots] == ["4", "6"]
    assert "XLA_PYTHON_CLIENT_PREALLOCATE" not in launcher._slots[0]
    launcher, _ = opened(9, {"CUDA_VISIBLE_DEVICES": "4,6"}, jobs=3)
    assert [slot["CUDA_VISIBLE_DEVICES"] for slot in launcher._slots] == ["4", "6", "4"]
    assert launcher._slots[0]["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_the_package_says_launching():
    assert keras_ccsam.launching.LAUNCHERS.keys() == {"local", "ray", "slurm"}
