"""Has the processes of a distributed test started, and tells what they said."""

import atexit
import functools
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import keras

ROOT = Path(__file__).parents[2]
BACKEND = keras.backend.backend()


def found_here() -> dict[str, str]:
    """`PYTHONPATH` with this package in it."""
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch_variables(place: int, processes: int, port: int) -> dict[str, str]:
    """What a launcher of this backend sets."""
    if BACKEND == "torch":
        return {
            "RANK": str(place),
            "WORLD_SIZE": str(processes),
            "LOCAL_RANK": str(place),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    return {
        "KERAS_DISTRIBUTION_PROCESS_ID": str(place),
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(processes),
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"127.0.0.1:{port}",
    }


@functools.cache
def _forking() -> tuple[subprocess.Popen[str], IO[str]]:
    """The process that starts all others of this session, and its file of complaints."""
    complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115  as long as the process
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.distributed.forking"],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": BACKEND, **found_here()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        text=True,
    )
    atexit.register(_end, process, complaints)
    return process, complaints


def _end(process: subprocess.Popen[str], complaints: IO[str]) -> None:
    process.communicate()  # the end of its input ends it
    complaints.close()


def run_together(
    module: str, arguments: list[str], processes: int = 1, devices: int = 1, seconds: float = 120
) -> str:
    """Runs `main(*arguments)` of a module beside this one in several processes at once.

    Args:
        processes: how many, joined by this backend's environment variables.
        devices: of each process: virtual ones, on JAX. (TensorFlow makes them itself.)
        seconds: after which all are killed.

    Returns:
        What they said, in order.

    Raises:
        AssertionError: one of them failed, or took too long.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    own = {"XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count={devices}".strip()}
    port = free_port()
    variables = [
        own | (launch_variables(place, processes, port) if processes > 1 else {})
        for place in range(processes)
    ]
    forking, complaints = _forking()
    with tempfile.TemporaryDirectory() as folder:
        said = [Path(folder, str(place)) for place in range(processes)]
        # Who is killed, or ends without Python's end, leaves what it has there.
        variables = [each | {"TMPDIR": folder} for each in variables]
        job = {"module": module, "arguments": arguments, "variables": variables}
        job |= {"said": [str(file) for file in said], "seconds": seconds}
        assert forking.stdin is not None and forking.stdout is not None
        forking.stdin.write(json.dumps(job) + "\n")
        forking.stdin.flush()
        answer = forking.stdout.readline()
        complaints.seek(0)
        assert answer, complaints.read()[-3000:]
        ended = json.loads(answer)
        texts = [file.read_text(encoding="utf-8") for file in said]
    shown = "\n".join(f"-- process {i} --\n{text[-3000:]}" for i, text in enumerate(texts))
    assert not ended["late"], f"no end after {seconds} s\n{shown}"
    assert ended["codes"] == [0] * processes, f"exit codes {ended['codes']}\n{shown}"
    return "\n".join(texts)
