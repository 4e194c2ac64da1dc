"""state.json of a run: what has become of it, and the format of its folder."""

import datetime
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from keras_ccsam import atomic, writer
from keras_ccsam.manifest import Damaged
from keras_ccsam.runs.json_files import json_text, read_json, write_json
from keras_ccsam.runs.run_manifest import FORMAT, RunManifest


class RunState:
    """Reads and writes state.json of a run.

    Args:
        path: the file; nothing is touched.
        manifest: of the run, which knows that it is complete where this file does not say.
    """

    def __init__(self, path: Path, manifest: RunManifest) -> None:
        self.path = path
        self.manifest = manifest

    def mark(self, status: str, **details: Any) -> None:
        """Write what has become of the run, also onto a disk that is full by now."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        state = {"kind": "run", "format": FORMAT, "status": status, "time": now, **details}
        try:
            write_json(self.path, state)
        except OSError as error:
            if error.errno not in atomic.NO_ROOM or not self.path.is_file():
                raise
            _write_over(self.path, atomic.encoded(json_text(state)))

    def status(self) -> str:
        """Return what has become of the run, as `RunDirectory.status`."""
        for _ in range(2):  # it may end in between, and say so
            if not self.path.is_file():
                return "absent"
            try:
                state = read_json(self.path)
            except Damaged:
                return "complete" if self.manifest.complete else "damaged"
            status = str(state.get("status", "failed"))
            standing = writer.standing(state.get("process"))
            if status != "running" or standing in (writer.OWN, writer.HERE):
                return status
        if self.manifest.complete:
            return "complete"
        return "killed" if standing == writer.GONE else "running"

    @property
    def was_ended(self) -> bool:
        """Whether the run came to its end: one that was killed after its results did not."""
        with suppress(Damaged):
            return read_json(self.path).get("status") == "complete"
        return False

    def without_results(self) -> str:
        """Why there are none, and what to do."""
        status = self.status()
        again = f"go on with it: ccsam train --resume {self.path.parent}"
        if status == "killed":
            return f"was ended before it was done, and has no results; {again}"
        if status != "running":
            return f"is {status} and has no results; {again}"
        return "is running and has no results yet; wait for its end, or, if it was killed, " + again

    def is_noted(self) -> bool:
        """Whether the run has a manifest, as all have since format 2.

        Raises:
            Damaged: it had one.
            ValueError: a later version wrote the run.
        """
        made = 1
        with suppress(Damaged):
            made = read_json(self.path).get("format", 1)
        if isinstance(made, int) and made > FORMAT:
            raise ValueError(
                f"the run is of format {made}, which a later version of keras-ccsam wrote; this "
                f"one reads up to {FORMAT}. Received: run={str(self.path.parent)!r}"
            )
        there = self.manifest.path.exists()
        if not there and made != 1:
            raise self.manifest.damaged(self.manifest.path, "is no longer there")
        return there


def _write_over(path: Path, content: bytes) -> None:
    """Write into the blocks that a small file has already: on a full disk there are no others."""
    with open(path, "r+b") as file:
        file.write(content.ljust(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
