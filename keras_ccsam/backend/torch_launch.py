"""Several processes of this machine, started and watched by PyTorch's elastic launcher.

It is what `torchrun` calls. It imports PyTorch alone.
"""

import logging
import os
import uuid
from collections.abc import Sequence

from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

STOPPED = 75
"""Of processes that a signal has stopped, once they have saved; `stopping.EXIT_CODE`."""

# Of a process that failed because another one did: by itself, or ended by the launcher.
_FOLLOWED = (1, -15, -9)


def run_processes(count: int, command: Sequence[str]) -> int:
    """Runs a command in `count` processes that know of each other; one that fails ends all.

    A signal is passed on to them, and they are waited for.

    Args:
        count: processes.
        command: with its arguments.

    Returns:
        The exit code: 0, or that of the process which failed by itself.
    """
    logging.disable(logging.CRITICAL)  # of this process: the others tell what happens
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // count)))
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(),
    )
    try:
        elastic_launch(config, command[0])(*command[1:])
    except ChildFailedError as error:
        codes = [failure.exitcode for failure in error.failures.values()]
        return next((code for code in codes if code not in _FOLLOWED), 1)
    except SignalException:
        return STOPPED
    return 0
