"""The commands of docs/distributed.md that a CPU can carry out, carried out; and what fails."""

import os
import re
import shlex
import signal
import subprocess
import sys

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
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        env={**os.environ, **found_here(), "TF_CPP_MIN_LOG_LEVEL": "3"} | (environment or {}),
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


def with_children(process, number):
    """A signal to a process and to all that it has started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True)
    pairs = [tuple(map(int, line.split())) for line in listed.stdout.splitlines()[1:]]
    family = [process.pid]
    for one in family:
        family += [pid for pid, parent in pairs if parent == one]
    for pid in family:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


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
