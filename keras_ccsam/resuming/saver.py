"""Writes states beside the training: one at a time, in a thread of its own."""

import contextlib
import os
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam import processes, snapshots


class Saver:
    """Writes snapshots into a folder.

    A disk that is full costs the training nothing: it goes on, with a warning, and the states that
    were written before stay.

    Args:
        folder: of the snapshots.
        keep: how many stay.

    Raises:
        ValueError: `keep` is less than 1, or `folder` is a file or lies in none.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"the newest state is always kept. Received: keep={keep!r}")
        self.folder = Path(folder)
        if not self.folder.is_dir() and self.folder.exists():
            raise ValueError(
                f"the states are written into a folder. Received: folder={str(folder)!r}, a file"
            )
        if processes.writes() and not self.folder.absolute().parent.is_dir():
            raise ValueError(
                "the states are written into a folder within an existing one; create that first. "
                f"Received: folder={str(folder)!r}"
            )
        self.keep = keep
        self._pool: ThreadPoolExecutor | None = None
        self._pending: Future[Path] | None = None

    @property
    def busy(self) -> bool:
        """Whether one is being written."""
        return self._pending is not None and not self._pending.done()

    def save(self, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
        """Begin to write a state, once the one before is done; of several processes one does.

        Args:
            arrays: nobody else writes into them.
            facts: JSON types.
        """
        if not processes.writes():
            return
        self.wait()
        if self._pool is None:
            # Its thread is no daemon: Python does not end before the state is whole.
            self._pool = ThreadPoolExecutor(1, thread_name_prefix="keras_ccsam_state")
        self._pending = self._pool.submit(
            snapshots.write, self.folder, arrays, facts, keep=self.keep
        )

    def wait(self) -> bool:
        """Wait until nothing is being written; return whether the last one is on the disk."""
        pending, self._pending = self._pending, None
        if pending is None:
            return True
        try:
            pending.result()
        except OSError as error:
            said = f"{error.strerror or error}: {str(error.filename or self.folder)!r}"
            warnings.warn(
                f"the state of the training could not be saved, and it goes on without: {said}",
                stacklevel=3,
            )
            return False
        return True

    def clear(self) -> None:
        """Remove all snapshots, and the folder where nothing else is in it."""
        self.close()
        if not processes.writes():
            return
        for pattern in ("snapshot-*", ".snapshot-*.writing"):
            for path in self.folder.glob(pattern):
                shutil.rmtree(path, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def close(self) -> bool:
        """As `wait`, and end the thread."""
        done = self.wait()
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None
        return done
