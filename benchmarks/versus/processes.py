"""The driver's side of its workers."""

import os
import subprocess
import sys
from pathlib import Path

from benchmarks import record
from benchmarks.asked import Asked
from benchmarks.versus.setting import Setting

WORKER = Path(__file__).with_name("worker.py")


class Worker(Asked):
    """A process of one framework.

    Args:
        name: `"pytorch"`, or `"keras-"` and a backend.
        setting: what it trains.
        methods: what it trains it with.
    """

    def __init__(self, name: str, setting: Setting, methods: list[str]) -> None:
        command = [sys.executable, str(WORKER), name.split("-")[0], setting.to_json(), *methods]
        super().__init__(name, command, environment(name, setting.threads))
        self.device = str(self.hear()["device"])

    def __enter__(self) -> "Worker":
        return self


def write_weights(setting: Setting) -> None:
    """The common first weights, drawn in a process of its own."""
    command = [sys.executable, str(WORKER), "weights", setting.to_json()]
    done = subprocess.run(
        command, env=environment("keras-torch", setting.threads), capture_output=True, text=True
    )
    if done.returncode:
        raise RuntimeError(f"The first weights could not be written:\n{done.stderr[-3000:]}")


def environment(name: str, threads: int) -> dict[str, str]:
    """Of a worker: its backend, its threads, and no memory that it does not need."""
    values = dict.fromkeys(
        ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads)
    )
    values |= {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        # The size of XLA's pool of threads on a CPU.
        "NPROC": str(threads),
    }
    if name.startswith("keras-"):
        values["KERAS_BACKEND"] = name.removeprefix("keras-")
    if name == "keras-jax":
        values |= record.light("backend.held_memory").variables()  # as the command line does
    if name == "keras-jax" and threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        values["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    return {**os.environ, **values}
