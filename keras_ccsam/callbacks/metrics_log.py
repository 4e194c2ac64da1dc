"""One record per epoch, as JSON lines and as CSV, that survives a crash at any moment."""

import csv
import io
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import atomic, processes
from keras_ccsam.json_lines import Record as Record
from keras_ccsam.json_lines import read as read


class MetricsLog(keras.callbacks.Callback):
    """Append each epoch's metrics to `metrics.jsonl`, and keep `metrics.csv` equal to it.

    A record holds `stage`, `epoch` (from 1), `steps`, `seconds` (wall time of the training steps,
    validation excluded), `learning_rate` (of the epoch's first step) and whatever the epoch
    logged. A value that is not finite is null. An existing file is continued; a last line that a
    crash cut short is dropped.

    Args:
        directory: existing folder for the two files.
        stage: what the records are marked with: 1 for `fit`, 2 for classifier re-training.
        tell: called with each record once it is written.

    Raises:
        ValueError: `directory` does not exist.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        stage: int = 1,
        tell: Callable[[Record], None] | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(directory) / "metrics.jsonl"
        if not self.path.parent.is_dir():
            raise ValueError(
                "MetricsLog writes into an existing folder; create it first. "
                f"Received: directory={str(directory)!r}"
            )
        self.stage = stage
        self.tell = tell
        self._rate = self._started = self._testing = self._excluded = 0.0
        self._before, self._told_again = 0, False

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Note what is there already."""
        self._before, self._told_again = len(read(self.path)), False

    def get_state(self) -> dict[str, Any]:
        """Its records, and how far the epoch is."""
        elapsed = time.perf_counter() - self._started - self._excluded
        records = read(self.path)[self._before :]
        return {"records": records, "learning_rate": self._rate, "elapsed": elapsed}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Write the log as it was then; a training that goes on adds its epochs to it."""
        self._rate, self._excluded = state["learning_rate"], 0.0
        self._started = time.perf_counter() - state["elapsed"]
        records = [*read(self.path)[: self._before], *state["records"]]
        if processes.writes() and records != read(self.path):
            write(self.path, records)
        if self.tell is not None and not self._told_again:
            for record in state["records"]:
                self.tell(record)
        self._told_again = True

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Note the learning rate and start the clock."""
        rate = self.model.optimizer.learning_rate
        self._rate = float(keras.ops.convert_to_numpy(rate))
        self._excluded = 0.0
        self._started = time.perf_counter()

    def on_test_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Stop it for the validation."""
        self._testing = time.perf_counter()

    def on_test_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Go on."""
        self._excluded += time.perf_counter() - self._testing

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Write the record."""
        seconds = time.perf_counter() - self._started - self._excluded
        record: Record = {
            "stage": self.stage,
            "epoch": epoch + 1,
            "steps": self.params.get("steps"),
            "seconds": round(seconds, 6),
            "learning_rate": self._rate,
        }
        record |= {key: float(value) for key, value in (logs or {}).items()}
        if processes.writes():
            append(self.path, record)
        if self.tell is not None:
            self.tell(record)


def append(path: str | os.PathLike[str], *records: Record) -> None:
    """Add records to a JSON-lines file, flushed to the disk, and rewrite the CSV beside it."""
    path = Path(path)
    known = read(path)
    complete = path.read_bytes() if path.exists() else b""
    # A link is replaced: what is added belongs to this folder.
    if (complete and not complete.endswith(b"\n")) or path.is_symlink():
        atomic.write_text(path, "".join(map(_line, known)))
    lines = "".join(map(_line, records)).encode()
    try:
        with path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:  # it names no file
        if error.errno in atomic.NO_ROOM:
            raise atomic.no_room(error, path, len(lines)) from error
        raise
    atomic.write_text(path.with_suffix(".csv"), _csv([*known, *map(finite, records)]))


def keep(path: str | os.PathLike[str], wanted: Callable[[Record], bool]) -> None:
    """Take the records out of a log that are not `wanted`; of a log that is not there, none."""
    records = read(path)
    if not all(map(wanted, records)):
        write(path, list(filter(wanted, records)))


def write(path: str | os.PathLike[str], records: Sequence[Record]) -> None:
    """Write a log anew, whole or not at all, with the CSV beside it."""
    path = Path(path)
    atomic.write_text(path, "".join(map(_line, records)))
    atomic.write_text(path.with_suffix(".csv"), _csv(map(finite, records)))


def finite(value: Any) -> Any:
    """Replace every NaN and infinity, which JSON does not have, by None, in lists and mappings."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def _line(record: Record) -> str:
    return json.dumps(finite(record), allow_nan=False) + "\n"


def _csv(records: Iterable[Record]) -> str:
    """Columns are all keys in the order they first occur: the stages log different ones."""
    records = list(records)
    columns = dict.fromkeys(key for record in records for key in record)
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
