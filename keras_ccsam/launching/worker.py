"""One run in a process that a launcher has begun, by whatever launcher."""

import io
import os
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import backend, stopping
from keras_ccsam.launching.job import Job
from keras_ccsam.launching.resources import own_peak
from keras_ccsam.recipes import Recipe, toml
from keras_ccsam.recipes.library import import_outside
from keras_ccsam.runs import experiment, lock
from keras_ccsam.runs.run_directory import RunDirectory

_LOOK = 1.0  # seconds between two looks at a run that another process trains


def work(told: dict[str, Any], signals: Sequence[str] = ()) -> dict[str, Any]:
    """Execute a run in this process, which is its own.

    Args:
        told: of `Job.to_dict`.
        signals: names of signals that ask it to stop, beside those of `stopping.stoppable`.

    Returns:
        The fields of an `Outcome`, and of a run that was stopped by which `signal`.
    """
    job = Job(**told)
    began = time.monotonic()
    signal = ""
    os.chdir(job.folder)
    sys.argv = list(job.command)
    with _Log(job.log) as log, redirect_stdout(log), redirect_stderr(log):
        try:
            with stopping.stoppable(*signals):
                _execute(job)
            status, reason = "complete", ""
        except stopping.Stopped as stopped:
            status, reason, signal = "stopped", str(stopped), stopped.reason
        except Exception as error:
            traceback.print_exc()
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            status = "failed"
    seconds = time.monotonic() - began
    found = {"status": status, "reason": reason, "seconds": seconds, "peak": own_peak()}
    return found | ({"signal": signal} if signal else {})


def _execute(job: Job) -> None:
    """Train the run, or what is left of it."""
    if keras.backend.backend() != job.backend:
        raise ValueError(
            f"the process of a run computes with {keras.backend.backend()}: set KERAS_BACKEND "
            f"there. Received: backend={job.backend!r}"
        )
    if job.deterministic:
        backend.make_deterministic()
    import_outside(toml.parse(job.recipe, job.name), [*map(Path, job.code), Path.cwd()])
    recipe = Recipe.from_toml(job.recipe, job.name)
    directory = RunDirectory(job.path)
    while True:
        # The process of a launcher that was killed may still be at it.
        while lock.holder(directory.path) is not None:
            stopping.check()
            time.sleep(_LOOK)
        if directory.status() == "complete" and not directory.damage():
            return
        try:
            experiment.run_or_resume(
                recipe, directory.path, progress="line", stage1_from=job.stage1_from, **job.options
            )
            return
        except lock.Held:  # on another machine
            time.sleep(_LOOK)


class _Log(io.TextIOBase):
    """A file of lines. A disk without room for them is no reason to end a run."""

    def __init__(self, path: str) -> None:
        self._file: io.TextIOBase | None = None
        with suppress(OSError):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            self._file = open(path, "a", encoding="utf-8", errors="backslashreplace")  # noqa: SIM115

    def write(self, text: str) -> int:
        """Add a text, and have it in the file at once."""
        with suppress(OSError, ValueError):
            if self._file is not None:
                self._file.write(text)
                self._file.flush()
        return len(text)

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()
        super().close()
