"""What the backend contract says of several processes and devices, in real ones."""

import importlib
import logging
import os
import subprocess
import sys

import pytest

from keras_ccsam import backend
from keras_ccsam.backend import waiting
from keras_ccsam.backend.launched import launched
from tests.distributed.started import (
    BACKEND,
    ROOT,
    free_port,
    launch_variables,
    run_together,
)

TORCHRUN = {"RANK": "1", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "a"}
SRUN = {"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1"}
MPIRUN = {"OMPI_COMM_WORLD_RANK": "2", "OMPI_COMM_WORLD_SIZE": "4", "MASTER_ADDR": "a"}


@pytest.mark.slow
def test_replicas_keep_the_contract(count=3):
    processes = 1 if BACKEND == "tensorflow" else count
    said = run_together("tests.distributed.contract_worker", [str(count)], processes)
    assert said.count("kept") == processes


def test_one_process_has_nothing_to_do():
    assert not backend.join_processes()
    assert (backend.process_count(), backend.process_index()) == (1, 0)
    assert backend.host_sum([1, 2]).tolist() == [1, 2]
    assert backend.broadcast_host("text") == "text"
    assert backend.batch_rows(3).tolist() == [0, 1, 2]
    tensor = object()
    assert backend.all_reduce([tensor]) == [tensor]
    assert backend.all_gather(tensor) is tensor
    with pytest.raises(ValueError, match="devices=9"), backend.share_devices(9):
        pass


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("environment", "place", "address"),
    [
        (TORCHRUN | {"MASTER_PORT": "5"}, (1, 4, 1), "a:5"),
        (SRUN | {"SLURM_STEP_NODELIST": "a", "MASTER_ADDR": "b"}, (3, 4, 1), "b:29500"),
        (MPIRUN, (2, 4, 2), "a:29500"),
        (
            {
                "KERAS_DISTRIBUTION_PROCESS_ID": "1",
                "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
                "KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:1,b:2",
            },
            (1, 2, 1),
            "a:1",
        ),
    ],
)
def test_a_launcher_is_noticed(environment, place, address):
    assert launched(environment) == (*place, address)


@pytest.mark.any_backend
def test_what_starts_one_process_is_no_launcher():
    assert launched({}) is None
    assert launched(TORCHRUN | {"WORLD_SIZE": "1", "RANK": "0"}) is None
    # A job script of SLURM that is not below `srun` runs once.
    assert launched(SRUN) is None


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"RANK": "4"}, "RANK must be below WORLD_SIZE=4. Received: RANK=4"),
        ({"WORLD_SIZE": "two"}, "Received: WORLD_SIZE='two'"),
        ({"MASTER_ADDR": ""}, "set MASTER_ADDR"),
        ({"MASTER_PORT": "zzz"}, "from 1 to 65535. Received: MASTER_PORT='zzz'"),
        ({"MASTER_PORT": "99999"}, "Received: MASTER_PORT='99999'"),
        ({"KERAS_DISTRIBUTION_JOB_ADDRESSES": "a:b,c"}, "_ADDRESSES='a:b,c'"),
    ],
)
def test_variables_that_cannot_be_are_refused(change, match):
    with pytest.raises(ValueError, match=match):
        launched(TORCHRUN | change)


@pytest.mark.skipif(BACKEND == "tensorflow", reason="nobody is waited for on TensorFlow")
def test_a_process_that_waits_says_for_whom_and_gives_up():
    port = free_port()
    ended = subprocess.run(
        [sys.executable, "-c", "from keras_ccsam import backend; backend.join_processes()"],
        cwd=ROOT,
        env={**os.environ, **launch_variables(1, 2, port), "CCSAM_JOIN_SECONDS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        timeout=100,
    )
    assert ended.returncode == 2, ended.stderr
    said = [line for line in ended.stderr.splitlines() if line.startswith("ccsam: ")]
    whom = f"process 1 of 2 waits for process 0 at 127.0.0.1:{port}; it gives up after 1 s"
    assert said[0].startswith(f"ccsam: {whom}") and len(said) == 2, ended.stderr
    assert said[1].startswith("ccsam: error: process 1 of 2 has waited 1 s for process 0")
    assert "Traceback" not in ended.stderr


@pytest.mark.any_backend
def test_how_long_is_waited_is_a_number_of_seconds(monkeypatch):
    assert waiting.limit() == 600
    monkeypatch.setenv("CCSAM_JOIN_SECONDS", "soon")
    with pytest.raises(ValueError, match="Received: CCSAM_JOIN_SECONDS='soon'"):
        waiting.limit()


@pytest.mark.parametrize(
    ("shell", "code", "told"),
    [
        ("test $WORLD_SIZE = 2 && test $MASTER_PORT -gt 0", 0, []),
        ("test $RANK = 0 || kill -9 $$; exec sleep 60", 1, ["process 1 was killed by SIGKILL"]),
        ("test $RANK = 0 || exit 2; exec sleep 60", 2, []),
    ],
)
def test_how_processes_end_is_passed_on_and_a_kill_told(shell, code, told, monkeypatch, tmp_path):
    launch = pytest.importorskip("torch") and importlib.import_module(
        "keras_ccsam.backend.torch_launch"
    )
    said = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    try:
        assert launch.run_processes(2, ["sh", "-c", shell], said.append) == code
    finally:
        logging.disable(logging.NOTSET)
    assert [words.split(",")[0] for words in said] == told
    assert not list(tmp_path.iterdir())  # the launcher's own folder would stay
