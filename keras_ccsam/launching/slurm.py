"""Runs as jobs of SLURM, submitted through submitit.

A job whose time ends, or that another one displaces, gets a signal before: the run saves, and
submitit puts it into the queue again, where it goes on. The jobs live on when this process ends.
"""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from keras_ccsam.launching.job import Job, Outcome
from keras_ccsam.launching.launcher import Launcher, Task
from keras_ccsam.launching.resources import threads_set
from keras_ccsam.launching.worker import work
from keras_ccsam.runs.json_files import read_json, write_json

_TIMEOUTS = 100
"""Each goes on where the one before it was ended: as many as a long training takes."""

_IN_QUEUE = ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED")


class Requeued:
    """What submitit executes in a job: a run, which goes on in the queue's next turn.

    Args:
        told: of `Job.to_dict`.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.told = told

    def __call__(self) -> dict[str, Any]:
        """Execute the run; where submitit's signal has stopped it, give submitit that signal."""
        name = f"SIG{os.environ.get('SUBMITIT_PREEMPT_SIGNAL', 'USR2')}"
        found = work(self.told, (name,))
        if found.pop("signal", "") == name:
            # Its own handler is in place again: it calls `checkpoint` and ends the process.
            os.kill(os.getpid(), getattr(signal, name))
        return found

    def checkpoint(self) -> Any:
        """Return what is put into the queue: the same, since the run's folder has the rest."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self)


class SlurmTask(Task):
    """A run that is a job of SLURM."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def done(self) -> bool:
        """Whether the job has left the queue."""
        return bool(self._job.done())

    def outcome(self) -> Outcome:
        """Return what the run said, or what SLURM says of the job."""
        from submitit.core.utils import FailedJobError, UncompletedJobError

        try:
            found = Outcome(**self._job.result())
            state = str(self._job.state)
            if found.status == "stopped" and state.startswith("CANCELLED"):
                return Outcome("failed", f"{self.where()} was cancelled", found.seconds)
            return found
        except FailedJobError as error:
            return Outcome("failed", f"{self.where()}: {_last_line(error)}")
        except UncompletedJobError:
            state = str(self._job.state)
            words = f"{self.where()} ended as {state}, see its log"
            final = state.startswith(("CANCELLED", "OUT_OF_ME", "DEADLINE"))
            return Outcome("failed" if final else "lost", words)

    def stop(self) -> None:
        """Nothing: it is SLURM's, and goes on."""

    def where(self) -> str:
        """The job."""
        return f"job {self._job.job_id}"


class Slurm(Launcher):
    """Runs as jobs of SLURM.

    Args:
        jobs: how many are in the queue at a time; None for all.
        partition, account, qos, constraint, gres: as `sbatch` has them.
        time: minutes of each job. A run that takes longer goes on in the next one.
        cpus, gpus: of each run.
        memory: of each run, in gigabytes.
        setup: a shell command that goes before each run, such as `module load cuda`.
        retries: how often a run is submitted again that was stopped, or lost with its node.
        cluster: `"local"` executes the jobs on this machine, to try them out.
        variables, environment: as in `Launcher`.
    """

    outlives = True
    pause = 1.0

    def __init__(
        self,
        jobs: int | None = None,
        partition: str | None = None,
        time: int = 240,
        cpus: int = 1,
        gpus: int = 0,
        memory: float | None = None,
        account: str | None = None,
        qos: str | None = None,
        constraint: str | None = None,
        gres: str | None = None,
        setup: str | None = None,
        retries: int = 3,
        cluster: str = "slurm",
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(jobs, retries, variables, environment)
        self.cluster = cluster
        self.cpus = cpus
        shared: dict[str, Any] = {"timeout_min": time, "cpus_per_task": cpus, "gpus_per_node": gpus}
        shared |= {} if memory is None else {"mem_gb": memory}
        own: dict[str, Any] = {"partition": partition, "account": account, "qos": qos, "gres": gres}
        own |= {"constraint": constraint, "setup": None if setup is None else [setup]}
        self.parameters: dict[str, Any] = {"name": "ccsam", **shared}
        self.parameters |= {f"slurm_{key}": value for key, value in own.items() if value}
        self._folder = Path()
        self._executor: Any = None

    def open(self, count: int, folder: Path) -> str:
        """Get ready to submit; see `Launcher.open`."""
        import submitit

        self._folder = (folder / "slurm").absolute()
        limit = {"slurm_max_num_timeout": _TIMEOUTS, "local_max_num_timeout": _TIMEOUTS}
        self._executor = submitit.AutoExecutor(self._folder, self.cluster, **limit)
        self._executor.update_parameters(**self.parameters)
        return f"jobs of SLURM; what submitit keeps of them is in {folder / 'slurm'}"

    def submit(self, job: Job) -> SlurmTask:
        """Put a run into the queue, unless an earlier call has and it is still there."""
        known = self._known()
        if (found := self._in_queue(known.get(job.name))) is not None:
            return SlurmTask(found)
        with _environment(self.environment(job) | threads_set(self.cpus)):
            submitted = self._executor.submit(Requeued(job.to_dict()))
        write_json(self._folder / "jobs.json", known | {job.name: submitted.job_id})
        return SlurmTask(submitted)

    def close(self) -> None:
        """Nothing: the jobs are SLURM's."""

    def _known(self) -> dict[str, str]:
        """The numbers of the jobs that were submitted, by run."""
        with contextlib.suppress(OSError, ValueError):
            return read_json(self._folder / "jobs.json")
        return {}

    def _in_queue(self, number: str | None) -> Any:
        """A job that was submitted before, if SLURM still has it."""
        import submitit

        if number is None or self.cluster != "slurm":
            return None
        found: Any = submitit.SlurmJob(self._folder, number)
        state = str(found.get_info(mode="force").get("State", ""))
        return found if state.startswith(_IN_QUEUE) else None


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Give what is started in the block these variables: sbatch hands its own on to the job."""
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(variables)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" -")]
    return lines[-1] if lines else type(error).__name__
