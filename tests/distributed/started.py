"""Starts the processes of a distributed test, and ends them all in time."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras

ROOT = Path(__file__).parents[2]
BACKEND = keras.backend.backend()


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


def run_together(
    module: str, arguments: list[str], processes: int = 1, devices: int = 1, seconds: float = 120
) -> str:
    """Runs `python -m module arguments` in several processes at once; what they said, in order.

    Args:
        processes: how many, joined by this backend's environment variables.
        devices: of each process: virtual ones, on JAX. (The others make them themselves.)
        seconds: after which all are killed, with whatever they have started.

    Raises:
        AssertionError: one of them failed, or took too long.
    """
    port = free_port()
    running = []
    for place in range(processes):
        env = {**os.environ, "KERAS_BACKEND": BACKEND, "PYTHONPATH": str(ROOT)}
        if processes > 1:
            env |= launch_variables(place, processes, port)
        flags = os.environ.get("XLA_FLAGS", "")
        env["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}".strip()
        command = [sys.executable, "-m", module, *arguments]
        running.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )
        )
    until, said = time.monotonic() + seconds, []
    try:
        # One that fails leaves the others waiting for it.
        while any(process.poll() is None for process in running):
            if time.monotonic() > until or any(process.poll() for process in running):
                break
            time.sleep(0.02)
    finally:
        late = [process.poll() is None for process in running]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            said.append(process.communicate()[0])
    codes = [process.returncode for process in running]
    texts = "\n".join(f"-- process {i} --\n{text[-3000:]}" for i, text in enumerate(said))
    failed = any(code > 0 for code in codes)
    assert failed or not any(late), f"no end after {seconds} s\n{texts}"
    assert codes == [0] * processes, f"exit codes {codes}\n{texts}"
    return "\n".join(said)
