"""The driver's side of its workers."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.versus.setting import Setting

WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A process of one framework, which computes while it is asked and never else.

    Args:
        name: `"pytorch"`, or `"keras-"` and a backend.
        setting: what it trains.
        methods: what it trains it with.

    Raises:
        RuntimeError: here or in `ask`, if the process ends; with the last it said.
    """

    def __init__(self, name: str, setting: Setting, methods: list[str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed in __exit__
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), name.split("-")[0], setting.to_json(), *methods],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment(name, setting.threads),
        )
        self.device = str(self._read()["device"])

    def ask(self, **command: Any) -> dict[str, Any]:
        """The answer to one command."""
        if self._process.stdin is not None and self._process.poll() is None:
            self._process.stdin.write(json.dumps(command) + "\n")
            self._process.stdin.flush()
        return self._read()

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.communicate()
        self._errors.close()

    def _read(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"The worker {self.name} ended:\n{self._last_errors()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _last_errors(self) -> str:
        self._process.wait()
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-3000:]


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
    if name == "keras-jax" and threads == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        values["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    return {**os.environ, **values}
