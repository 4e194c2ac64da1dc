"""The commands of docs/distributed.md that a CPU can carry out, carried out; and what fails."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from docs import pages
from keras_ccsam import runs
from tests import made_images
from tests.distributed.started import BACKEND, ROOT, found_here, free_port, launch_variables

pytestmark = pytest.mark.slow

PAGE = (pages.ROOT / "docs" / "distributed.md").read_text(encoding="utf-8")
SMALL = (
    "model.backbone.width=2",
    "model.backbone.features=6",
    "stage1.epochs=1",
    "stage1.batch_size=50",
    "stage2.epochs=1",
)


def line_of(beginning):
    """A command of the page, by how it begins."""
    (found,) = [line for line in PAGE.splitlines() if line.startswith(beginning)]
    return shlex.split(found)


def carried_out(words, *extra, seconds=300, environment=None):
    """Exit code and what was said; all processes are gone then."""
    script = {"ccsam": [sys.executable, "-m", "keras_ccsam_cli"]}
    script["torchrun"] = [sys.executable, "-m", "torch.distributed.run"]
    script["python"] = [sys.executable]
    settings = [word for setting in SMALL for word in ("--set", setting)]
    words = [*script[words[0]], *words[1:], *settings, *extra]
    with tempfile.TemporaryDirectory() as folder:
        own = {"TF_CPP_MIN_LOG_LEVEL": "3", "TMPDIR": folder} | (environment or {})
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env={**os.environ, **found_here(), **own},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=seconds)
        finally:
            with_children(process, signal.SIGKILL)
    return process.returncode, said


def family(process):
    """The numbers of a process and of all that it has started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()[1:]]
    found = [process.pid]
    for one in found:
        found += [pid for pid, parent in pairs if parent == one]
    return found


def runs_still(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def with_children(process, number):
    """A signal to a process and to all that it has started."""
    for pid in family(process):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


@pytest.mark.skipif(BACKEND == "torch", reason="as under torchrun, whose launcher it calls; below")
def test_devices_of_one_machine(tmp_path):
    out = tmp_path / "run"
    words = line_of("ccsam train ccsam --data cifar10-lt --backend torch --devices 2")
    words = [w for w in words if w not in ("--data", "cifar10-lt", "--backend", "torch")]
    code, said = carried_out(words, "--backend", BACKEND, "--out", str(out))
    assert code == 0, said
    assert_trained_once(out, said)


def assert_trained_once(out, said):
    """One process printed, and left a whole run."""
    assert said.count("stage 1/2  epoch 1/1") == 1, said
    assert said.count("The run is in") == 1
    directory = runs.RunDirectory(out)
    assert directory.status() == "complete"
    assert directory.damage() is None
    assert not list(out.parent.glob("*.incomplete*"))


@pytest.mark.skipif(BACKEND != "torch", reason="its launcher")
def test_torchrun_and_a_folder_that_is_taken(tmp_path):
    out = tmp_path / "run"
    words = line_of("torchrun --nproc_per_node=2 -m")
    words[words.index("--out") + 1] = str(out)
    words.insert(1, f"--master-port={free_port()}")
    code, said = carried_out(words)
    assert code == 0, said
    assert_trained_once(out, said)
    # Once more, in processes of --devices: one line, from one of them, and what they ended with.
    code, said = carried_out(["ccsam", *words[words.index("train") :], "--devices", "2"])
    assert code == 2
    assert len(re.findall("ccsam: error", said)) == 1, said
    assert "not empty" in said


@pytest.mark.skipif(BACKEND != "torch", reason="a process for each device")
def test_what_fails_in_one_process_ends_all_and_is_told_once(tmp_path):
    """The second process alone does not find the images."""
    made_images.folder(tmp_path / "images", (2, 2))
    own = tmp_path / "own.py"
    own.write_text(
        "import os, runpy\n"
        'if os.environ["RANK"] == "1":\n    os.environ["HOME"] = "/nowhere"\n'
        'runpy.run_module("keras_ccsam_cli", run_name="__main__")\n'
    )
    words = ["torchrun", "--nproc_per_node=2", f"--master-port={free_port()}", str(own), "train"]
    out = ["--backend", "torch", "--out", str(tmp_path / "run")]
    home = {"HOME": str(tmp_path)}
    words += ["ccsam", "--data", "~/images", "--set", "model.backbone=small-cnn"]
    code, said = carried_out(words, *out, environment=home)
    assert code != 0
    errors = [line for line in said.splitlines() if "ccsam: error" in line]
    assert len(errors) == 1, said
    assert errors[0].startswith("ccsam: error: process 1: ")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(BACKEND != "torch", reason="a process for each device")
def test_a_first_signal_saves_and_a_second_one_leaves_nobody(tmp_path):
    """SIGTERM to the process that was started; then, as the run goes on, Ctrl-C and Ctrl-C."""
    out = tmp_path / "run"
    words = ["train", "ccsam", "--backend", "torch", "--out", str(out)]
    words += [word for setting in SMALL for word in ("--set", setting)]
    words += ["--set", "stage1.epochs=900"]
    with begun([*words, "--devices", "2"]) as (process, said):
        process.terminate()
        assert process.wait(60) == 75, said()
    assert said().count("ccsam: stopped by SIGTERM, saved") == 1
    assert runs.RunDirectory(out).status() == "interrupted"
    done = said().count("stage 1/2")
    with begun(["train", "--resume", str(out), "--devices", "2"]) as (process, said):
        everybody = family(process)
        assert len(everybody) == 3
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(0.05)
        assert process.wait(60) == -signal.SIGINT, said()
        until = time.monotonic() + 20
        while any(map(runs_still, everybody)) and time.monotonic() < until:
            time.sleep(0.05)
        assert not any(map(runs_still, everybody))
    assert re.search(r"epoch +(\d+)/", said())[1] == str(done + 1)
    assert "Traceback" not in said() and "race condition" not in said()


@contextlib.contextmanager
def begun(words):
    """A command that trains by now, and what it has said; nobody of it is left afterwards."""
    with tempfile.TemporaryFile("w+") as file, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "keras_ccsam_cli", *words],
            cwd=ROOT,
            env={**os.environ, **found_here(), "OMP_NUM_THREADS": "1", "TMPDIR": folder},
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A suite that is started in the background is deaf to Ctrl-C, and so are its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

        def said():
            return os.pread(file.fileno(), 10**6, 0).decode() if not file.closed else text[0]

        text = [""]
        try:
            until = time.monotonic() + 200
            while said().count("stage 1/2") < 2:
                assert process.poll() is None and time.monotonic() < until, said()
                time.sleep(0.05)
            yield process, said
        finally:
            with_children(process, signal.SIGKILL)
            process.wait()
            text[0] = said()


@pytest.mark.skipif(BACKEND != "jax", reason="keras.distribution's variables")
def test_one_jax_process_for_each_host(tmp_path):
    out = tmp_path / "run"
    words = line_of("python -m keras_ccsam_cli train ccsam --backend jax")
    words[words.index("--out") + 1] = str(out)
    port = free_port()
    command = [sys.executable, *words[1:], *(w for s in SMALL for w in ("--set", s))]
    processes = [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **found_here()} | launch_variables(place, 2, port),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for place in range(2)
    ]
    try:
        said = [process.communicate(timeout=400)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    assert "The run is in" in said[0] and "The run is in" not in said[1]
    assert runs.RunDirectory(out).status() == "complete"


@pytest.mark.skipif(BACKEND != "torch", reason="checked before anything starts")
def test_too_many_devices_are_refused_in_words(tmp_path):
    environment = {"RANK": "0", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "a"}
    code, said = carried_out(
        ["ccsam", "train", "ccsam", "--devices", "4", "--backend", "torch"], environment=environment
    )
    assert code == 2
    assert "the launcher has started 2 processes on this machine" in said
