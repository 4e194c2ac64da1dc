"""A run of several processes: the first one works in its folder, the others in passing copies.

So all of them do the same, and one of them writes. What a copy holds goes with the process; the
states that a run is gone on from are read where they are.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_ccsam import backend, processes, stopping
from keras_ccsam.runs import lock
from keras_ccsam.runs.folders import WRITTEN
from keras_ccsam.runs.run_directory import RunDirectory

STATES = "state"
"""The folder in `checkpoints` from which a run is gone on with."""

_copies: dict[Path, Path] = {}
"""The run's own folder, by the folder in which this process works on it; in the first process, both
are one."""


def origin(path: Path) -> Path:
    """The run's own folder, of one that this process works in."""
    for copy, own in _copies.items():
        if path == copy or copy in path.parents:
            return own / path.relative_to(copy)
    return path


@contextmanager
def workplace(directory: RunDirectory) -> Iterator[RunDirectory]:
    """Where this process works on a run, which all processes begin together.

    Args:
        directory: of the run, on a disk that all of them see where it has been begun.

    Raises:
        processes.FailedElsewhere: another process found no room for it.
    """
    path = directory.path.absolute()
    # A run inside another one, as M2m's helper, has its place in that one's.
    if backend.process_count() == 1 or any(place in path.parents for place in _copies):
        yield directory
        return
    if processes.writes():
        with processes.agreed():
            pass  # the others have their copies
        _copies[path] = path
        try:
            yield directory
        finally:
            del _copies[path]
        return
    with tempfile.TemporaryDirectory(prefix="ccsam-") as folder:
        copy = Path(folder) / path.name
        _copies[copy] = path
        try:
            with processes.agreed():
                _copy(path, copy)
            yield RunDirectory(copy)
        except stopping.Stopped as stopped:
            stopped.run = stopped.run and str(origin(Path(stopped.run)))
            raise
        finally:
            del _copies[copy]


def _copy(source: Path, target: Path) -> None:
    """What there is of a run, but for what nobody reads who goes on with it."""
    if not source.is_dir():
        return
    passed_over = {*WRITTEN, STATES, lock.NAME} - {"checkpoints"}

    def ignored(_: str, names: list[str]) -> set[str]:
        return passed_over.intersection(names)

    shutil.copytree(source, target, ignore=ignored)
