"""What executes runs, as `concurrent.futures` has it: submit, and look whether it is done."""

import abc
import os
from collections.abc import Mapping
from pathlib import Path

from keras_ccsam.launching.job import Job, Outcome


class Task(abc.ABC):
    """A run that was submitted."""

    @abc.abstractmethod
    def done(self) -> bool:
        """Whether it has ended, in whatever way."""

    @abc.abstractmethod
    def outcome(self) -> Outcome:
        """Return how it ended; it is done."""

    @abc.abstractmethod
    def stop(self) -> None:
        """Ask it to save and to end."""

    def where(self) -> str:
        """Where it runs, as its launcher calls that; "" where there is nothing to say."""
        return ""


class Launcher(abc.ABC):
    """Where runs are executed.

    Attributes:
        retries: how often a run is submitted again whose process or machine was lost.
        outlives: whether its runs go on when this process ends.

    Args:
        jobs: how many runs at a time; None for as many as there is room for.
        retries: as above.
        variables: environment variables of a run's process, beside those of this one.
        environment: all variables that the processes are given in place of this one's; those of
            this process by default.
    """

    outlives = False
    # Seconds between two looks at what runs.
    pause = 0.1

    def __init__(
        self,
        jobs: int | None = None,
        retries: int = 0,
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.jobs = jobs
        self.retries = retries
        self._variables = dict(variables or {})
        self._environment = environment

    @abc.abstractmethod
    def open(self, count: int, folder: Path) -> str:
        """Get ready; return one line that says how runs are executed.

        Args:
            count: of the runs.
            folder: for its own files; it is made by who needs it.

        Raises:
            ValueError: there is no such cluster, or its package is not installed.
        """

    def room(self, running: int) -> bool:
        """Whether another run may be submitted now.

        Args:
            running: how many are submitted and not done.
        """
        return self.jobs is None or running < self.jobs

    @abc.abstractmethod
    def submit(self, job: Job) -> Task:
        """Begin a run."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of what `open` took. What still runs ends at once, unless it outlives this."""

    def variables(self, job: Job) -> dict[str, str]:
        """The environment variables that a run needs before Keras is imported."""
        quiet = {"MPLBACKEND": "Agg", "TF_CPP_MIN_LOG_LEVEL": "2"}
        return {"KERAS_BACKEND": job.backend, **quiet, **self._variables}

    def environment(self, job: Job) -> dict[str, str]:
        """All environment variables of a run's process."""
        outer = os.environ if self._environment is None else self._environment
        return {**outer, **self.variables(job)}
