"""Which of several processes this one is, as its launcher's environment variables say it.

    torchrun       RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR, MASTER_PORT
    Keras          KERAS_DISTRIBUTION_PROCESS_ID, _NUM_PROCESSES, _JOB_ADDRESSES (the first counts)
    srun           SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID; SLURM_STEP_NODELIST is there
                   only in a process that `srun` has started
    mpirun         OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK

The last two do not say where the first process is: MASTER_ADDR and MASTER_PORT do, which the
user's job script sets.
"""

from collections.abc import Mapping
from typing import NamedTuple

PORT = 29500


class Launched(NamedTuple):
    """One process of several.

    Attributes:
        place: of the process among all, from 0.
        processes: how many there are.
        on_machine: the place of this process among those of its machine.
        address: host and port of process 0, `host:port`.
    """

    place: int
    processes: int
    on_machine: int
    address: str


_LAUNCHERS: tuple[tuple[str, str, str], ...] = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK"),
    ("KERAS_DISTRIBUTION_PROCESS_ID", "KERAS_DISTRIBUTION_NUM_PROCESSES", ""),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK"),
)


def launched(environment: Mapping[str, str]) -> Launched | None:
    """What the variables say; None where one process was started.

    Raises:
        ValueError: for a variable that is no such number, or where none says where process 0 is.
    """
    for index, count, local in _LAUNCHERS:
        if index not in environment or count not in environment:
            continue
        if index == "SLURM_PROCID" and "SLURM_STEP_NODELIST" not in environment:
            continue
        processes = _number(environment, count)
        if processes < 2:
            return None
        place = _number(environment, index)
        if place >= processes:
            raise ValueError(
                f"{index} must be below {count}={processes}. Received: {index}={place}"
            )
        on_machine = _number(environment, local) if local in environment else place
        return Launched(place, processes, on_machine, _address(environment, count))
    return None


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment[name]
    if not text.isdecimal():
        raise ValueError(f"{name} must be a whole number from 0 on. Received: {name}={text!r}")
    return int(text)


def _address(environment: Mapping[str, str], count: str) -> str:
    jobs = environment.get("KERAS_DISTRIBUTION_JOB_ADDRESSES", "")
    if jobs:
        first = jobs.split(",")[0]
        host, _, port = first.rpartition(":") if ":" in first else (first, "", str(PORT))
        return f"{host}:{_port('KERAS_DISTRIBUTION_JOB_ADDRESSES', port, jobs)}"
    host = environment.get("MASTER_ADDR", "")
    if not host:
        raise ValueError(
            f"{count} says that there are several processes, and nothing says where the first one "
            "is: set MASTER_ADDR (and MASTER_PORT). Received: MASTER_ADDR is not set"
        )
    port = environment.get("MASTER_PORT", str(PORT))
    return f"{host}:{_port('MASTER_PORT', port, port)}"


def _port(name: str, port: str, given: str) -> int:
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError(
            f"the port of {name} must be a whole number from 1 to 65535. Received: {name}={given!r}"
        )
    return int(port)
