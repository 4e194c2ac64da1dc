"""Several processes of this machine, started and watched by PyTorch's elastic launcher.

It is what `torchrun` calls. It imports PyTorch alone.
"""

import logging
import os
import signal
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from torch.distributed.elastic.multiprocessing.api import DefaultLogsSpecs, SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

STOPPED = 75
"""Of processes that a signal has stopped, once they have saved; `stopping.EXIT_CODE`."""

# Seconds that the launcher leaves to the others, once one has failed, are 30.
_GRACE = 10


def run_processes(count: int, command: Sequence[str], tell: Callable[[str], None]) -> int:
    """Runs a command in `count` processes that know of each other; one that fails ends all.

    A first SIGINT, SIGTERM or SIGHUP is passed on to them, and they are waited for. The second ends
    this process at once, as the system does.

    Args:
        count: processes.
        command: with its arguments.
        tell: is called with what no process can say itself: that it was killed, and by which
            signal.

    Returns:
        The exit code: 0, or that of the process which failed by itself; 1 where one was killed.
    """
    with tempfile.TemporaryDirectory(prefix="ccsam-") as logs:
        return _run(count, command, tell, logs)


def _run(count: int, command: Sequence[str], tell: Callable[[str], None], logs: str) -> int:
    """As `run_processes`, with a folder for the launcher: one of its own it would leave behind."""
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
        logs_specs=DefaultLogsSpecs(log_dir=logs),
        # Those below are seen to here: by itself it takes a second one for a failure of its own.
        signals_to_handle="SIGQUIT",
    )
    try:
        with _passed_on():
            # It fills in macros such as ${local_rank} in arguments; a dollar of the user's stays.
            elastic_launch(config, command[0])(*(word.replace("$", "$$") for word in command[1:]))
    except ChildFailedError as error:
        failures = list(error.failures.values())
        own = next((one.exitcode for one in failures if one.exitcode > 1), 1)
        if own == 1 and (killed := _killed(failures)) is not None:
            by = signal.Signals(-killed.exitcode).name
            tell(f"process {killed.local_rank} was killed by {by}, and the others were ended")
        return own
    except SignalException:
        return STOPPED
    return 0


@contextmanager
def _passed_on() -> Iterator[None]:
    """Tell the launcher of a first signal; leave the second one to the system."""

    def stop(number: int, _: FrameType | None) -> None:
        for other in outer:
            signal.signal(other, signal.SIG_DFL)
        raise SignalException(f"signal {number}", sigval=signal.Signals(number))

    outer: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # no SIGHUP on Windows
        if number is not None and signal.getsignal(number) not in (signal.SIG_IGN, None):
            outer[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in outer.items():
            signal.signal(number, handler)


def _killed(failures: Sequence[ProcessFailure]) -> ProcessFailure | None:
    """The one that a signal from outside has killed; the launcher's own SIGKILL comes later."""
    first = min(one.timestamp for one in failures)
    return next(
        (
            one
            for one in failures
            if one.exitcode < 0
            and one.exitcode != -signal.SIGTERM
            and one.timestamp - first < _GRACE
        ),
        None,
    )
