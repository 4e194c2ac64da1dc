"""Runs as tasks of a Ray cluster.

Ray finds a machine for each, begins it anew elsewhere where that machine is lost, and gives each
run a process of its own. The folder of the runs must be one that all machines see.
"""

import contextlib
import math
import os
import re
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ccsam.launching.job import Job, Outcome
from keras_ccsam.launching.launcher import Launcher, Task
from keras_ccsam.launching.resources import threads_set
from keras_ccsam.launching.worker import work

_ANSWER = 10.0
"""Seconds in which a cluster's address has to answer; Ray itself tries for minutes."""


class RayTask(Task):
    """A run that Ray executes."""

    def __init__(self, reference: Any, retries: int) -> None:
        self._reference = reference
        self._retries = retries

    def done(self) -> bool:
        """Whether Ray has a result or an error."""
        import ray

        return bool(ray.wait([self._reference], timeout=0)[0])

    def outcome(self) -> Outcome:
        """Return what the run said, or what Ray says of it."""
        import ray

        try:
            said = ray.get(self._reference)
        except ray.exceptions.TaskCancelledError:
            return Outcome("stopped", "before it had begun")
        except ray.exceptions.RayTaskError as error:  # the worker could not even begin
            return Outcome("failed", " ".join(f"{error.cause}".split()))
        except ray.exceptions.RayError as error:
            words = " ".join(str(error).split(".")[0].split())
            return Outcome("failed", f"lost {self._retries + 1} times: {words}")
        said.pop("signal", None)
        return Outcome(**said)

    def stop(self) -> None:
        """Ask it as Ctrl-C would."""
        import ray

        ray.cancel(self._reference, force=False)


class Ray(Launcher):
    """Runs as tasks of a Ray cluster.

    Args:
        jobs: how many runs are handed to Ray at a time; None for all.
        address: of a cluster, as `ray.init` has it; by default the one that is here or that
            `RAY_ADDRESS` names, else one that is started on this machine.
        cpus: of each run, and its threads.
        gpus: of each run.
        memory: of each run, in gigabytes; Ray keeps count of it and bounds nothing.
        retries: how often Ray begins a run again that was lost with its machine. It goes on from
            its last state.
        variables, environment: as in `Launcher`; `environment` is not used, since each machine has
            its own.
    """

    def __init__(
        self,
        jobs: int | None = None,
        address: str | None = None,
        cpus: float = 1,
        gpus: float = 0,
        memory: float | None = None,
        retries: int = 3,
        variables: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(jobs, retries, variables, environment)
        self.address = address
        self.cpus = cpus
        self.gpus = gpus
        self.memory = memory
        self._begun = False

    def open(self, count: int, folder: Path) -> str:
        """Join the cluster, or start one; see `Launcher.open`."""
        import ray

        if not ray.is_initialized():
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            _reach(self.address or os.environ.get("RAY_ADDRESS") or "")
            try:
                ray.init(self.address, log_to_driver=False, logging_level="ERROR")
            except (ConnectionError, RuntimeError, ValueError) as error:
                words = " ".join(str(error).split())
                raise ValueError(
                    f"there is no such Ray cluster: {words}. Received: address={self.address!r}"
                ) from error
            self._begun = True
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        self._check(nodes)
        cores = sum(node.get("CPU", 0) for node in nodes)
        gpus = f", {self.gpus:g} GPUs" if self.gpus else ""
        return (
            f"Ray with {len(nodes)} machine{'s' * (len(nodes) != 1)} and {cores:g} cores; "
            f"{self.cpus:g} core{'s' * (self.cpus != 1)}{gpus} each"
        )

    def _check(self, nodes: Sequence[Mapping[str, float]]) -> None:
        """Refuse what would wait for ever."""
        for name, wanted in (("CPU", self.cpus), ("GPU", self.gpus)):
            most = max((node.get(name, 0) for node in nodes), default=0)
            if wanted > most:
                option = f"{name.lower()}s"
                self.close()
                raise ValueError(
                    f"no machine of the cluster has more than {most:g} {option}, and a run asks "
                    f"for more. Received: {option}={wanted:g}"
                )

    def submit(self, job: Job) -> RayTask:
        """Hand a run to Ray."""
        import ray

        # One run per process: Keras and its backend begin anew, as in a run of its own.
        options: dict[str, Any] = {"max_calls": 1, "max_retries": self.retries}
        options |= {"num_cpus": self.cpus, "num_gpus": self.gpus}
        if self.memory is not None:
            options["memory"] = int(self.memory * 1e9)
        needed = threads_set(max(1, math.floor(self.cpus))) | self.variables(job)
        task = ray.remote(**options)(work).options(name=job.name, runtime_env={"env_vars": needed})
        return RayTask(task.remote(job.to_dict()), self.retries)

    def close(self) -> None:
        """Leave the cluster; one that was started here ends, and with it what still runs."""
        import ray

        if self._begun:
            with contextlib.suppress(RuntimeError):
                ray.shutdown()
            self._begun = False


def _reach(address: str) -> None:
    """Refuse the address of a machine and port that nothing answers at.

    Raises:
        ValueError: with what the system says.
    """
    found = re.fullmatch(r"(?:ray://)?\[?([^/\[\]]+?)\]?:(\d{1,5})", address)
    if found is None:  # "auto", "local", or none
        return
    try:
        socket.create_connection((found[1], int(found[2])), timeout=_ANSWER).close()
    except (OSError, OverflowError) as error:
        raise ValueError(
            f"there is no such Ray cluster: nothing answers at this address within {_ANSWER:g} s "
            f"({error}). Received: address={address!r}"
        ) from None
