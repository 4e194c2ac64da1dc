"""Runs in processes of this machine, several at a time, within its cores and memory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from keras_ccsam.data.batches.workers import cores
from keras_ccsam.launching.job import Job, Outcome
from keras_ccsam.launching.launcher import Launcher, Task
from keras_ccsam.launching.resources import available, gpus, held, own_peak, threads_set

_SPARE = 1.2
"""A run is taken to need so much of what the largest one has needed."""

# -P: modules of this package's own, such as `ray`, are not to be found before others of that name.
_COMMAND = (sys.executable, "-P", str(Path(__file__).with_name("child.py")))


class LocalTask(Task):
    """A run in a process of its own.

    Args:
        job: what to do.
        environment: all variables of the process.
        slot: which of the runs at a time it is, from 0 on.
    """

    def __init__(self, job: Job, environment: Mapping[str, str], slot: int) -> None:
        self.slot = slot
        self._began = time.monotonic()
        self._asked = False
        with _opened(Path(job.log)) as log:
            self.process = subprocess.Popen(
                _COMMAND,
                stdin=subprocess.PIPE,  # its end tells the process that this one is gone
                stdout=subprocess.PIPE,
                stderr=log,
                env=dict(environment),
                # A Ctrl-C of the terminal comes here alone, and is passed on once.
                start_new_session=True,
            )
        try:
            assert self.process.stdin is not None  # noqa: S101  for mypy
            told = {"job": job.to_dict(), "search": sys.path}
            self.process.stdin.write(json.dumps(told).encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended already: `outcome` says how

    def done(self) -> bool:
        """Whether the process has ended."""
        return self.process.poll() is not None

    def outcome(self) -> Outcome:
        """Return what the process said last, or what the system says of it."""
        told, _ = self.process.communicate()
        seconds = time.monotonic() - self._began
        try:
            said = json.loads(told.splitlines()[-1])
            said.pop("signal", None)
            return Outcome(**said)
        except (IndexError, ValueError, TypeError):
            pass
        code = self.process.returncode
        if self._asked:
            return Outcome("stopped", "before it had begun", seconds)
        if code >= 0:
            return Outcome("failed", f"its process ended with {code}, see its log", seconds)
        name = signal.Signals(-code).name
        words = " (as the system does where memory runs out)" if name == "SIGKILL" else ""
        return Outcome("lost", f"its process was ended by {name}{words}", seconds)

    def stop(self) -> None:
        """Send SIGTERM."""
        self._asked = True
        self.process.terminate()

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.communicate()

    def where(self) -> str:
        """The process."""
        return f"process {self.process.pid}"


class Local(Launcher):
    """Runs in processes of this machine.

    A run is begun where a core is free and the memory suffices: what is left must hold as much as
    the largest run so far has held, and a fifth more; until one is measured, as much as this
    process, which has loaded the data and built the models. The first one always begins. Each has
    its share of the cores, and of several GPUs one.

    Args:
        jobs: how many runs at a time; None for one per core, or per GPU.
        threads: of each run; by default its share of the cores, or what `OMP_NUM_THREADS` says.
            With the same number, runs have the same bits as one after another.
        retries: how often a run is begun again whose process was ended from outside.
        variables, environment: as in `Launcher`.
    """

    def __init__(
        self,
        jobs: int | None = None,
        threads: int | None = None,
        retries: int = 0,
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(jobs, retries, variables, environment)
        self.threads = threads
        self._tasks: list[LocalTask] = []
        self._slots: list[dict[str, str]] = []
        self._peak = 0

    def open(self, count: int, folder: Path) -> str:
        """Choose how many at a time, and what each may use; see `Launcher.open`."""
        outer = {**(os.environ if self._environment is None else self._environment)}
        outer |= self._variables
        shown = gpus(outer)
        given = outer.get("OMP_NUM_THREADS", "")
        threads = self.threads or (int(given) if given.isdigit() and int(given) else None)
        jobs = self.jobs or len(shown) or max(1, cores() // (threads or 1))
        jobs = min(jobs, count)
        threads = threads or max(1, cores() // jobs)
        self._slots = [_of_slot(slot, jobs, threads, shown) for slot in range(jobs)]
        self._peak = own_peak() or 0
        self._tasks = []
        words = [f"{jobs} at a time", f"{threads} thread{'s' * (threads > 1)} each"]
        if shown:
            words.append(f"{len(shown)} GPU{'s' * (len(shown) > 1)}")
        if jobs * threads > cores():
            words.append(f"which is more than the {cores()} cores: they wait for each other")
        left = available()
        if left is not None:
            words.append(f"as far as {left / 1e9:.1f} GB of memory hold them")
        return ", ".join(words)

    def room(self, running: int) -> bool:
        """Whether a slot and the memory for another run are free."""
        self._measure()
        if running == 0:
            return True
        if running >= len(self._slots):
            return False
        left = available()
        if left is None:
            return True
        need = _SPARE * self._peak
        # Those that have just begun will take what they have not taken yet.
        now = [held(task.process.pid) for task in self._tasks]
        coming = sum(max(0.0, need - found[0]) for found in now if found is not None)
        return left - coming >= need

    def submit(self, job: Job) -> LocalTask:
        """Begin a run in the first free slot."""
        self._tasks = [task for task in self._tasks if not task.done()]
        taken = {task.slot for task in self._tasks}
        slot = next(n for n in range(len(self._slots)) if n not in taken)
        task = LocalTask(job, self.environment(job) | self._slots[slot], slot)
        self._tasks.append(task)
        return task

    def close(self) -> None:
        """End what still runs, at once."""
        for task in self._tasks:
            if not task.done():
                task.kill()
        self._tasks = []

    def _measure(self) -> None:
        """Take down the most that a run has held so far; a measured one counts for an estimate."""
        found = [held(task.process.pid) for task in self._tasks]
        self._peak = max([self._peak, *(peak for one in found if one is not None for peak in one)])


def _of_slot(slot: int, jobs: int, threads: int, shown: tuple[str, ...]) -> dict[str, str]:
    """The environment variables of one of the runs at a time."""
    found = threads_set(threads)
    if shown:
        found["CUDA_VISIBLE_DEVICES"] = shown[slot % len(shown)]
        if jobs > len(shown):  # a framework takes all of a GPU's memory, else
            found["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
            found["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
    return found


def _opened(log: Path) -> BinaryIO:
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        return open(log, "ab")
    except OSError:  # a full disk is for the run to tell
        return open(os.devnull, "ab")
