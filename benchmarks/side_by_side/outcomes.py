"""What a check found, kept in a file: a row for each measurement, written as soon as it is made."""

import datetime
import os
from pathlib import Path
from typing import Any

from benchmarks import record
from benchmarks.side_by_side.judgement import Estimate
from benchmarks.side_by_side.pair import Measured

KEY = ("began", "backend", "row", "measurement")


class Outcomes:
    """The rows of one check, below those of earlier ones.

    Args:
        path: of the JSON file; None: nothing is kept.
        **check: what its rows have in common.

    Raises:
        ValueError: the file holds something else, or cannot be one.
    """

    def __init__(self, path: str | Path | None, **check: Any) -> None:
        self._path = None if path is None else Path(path)
        self._rows: list[record.Row] = []
        began = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        self._check = {"began": began, **check}
        if self._path is None:
            return
        try:
            known = record.load(self._path).get("key", list(KEY))
        except (ValueError, TypeError):  # no JSON, or no table
            known = None
        if self._path.is_dir() or known != list(KEY):
            raise ValueError(f"{path} holds no outcomes of a check; name another file")

    def add(
        self,
        backend: str,
        row: str,
        measurement: int,
        verdict: str,
        measured: Measured | None,
        seconds: float,
    ) -> None:
        """One measurement; None where there was nothing to measure.

        Args:
            backend: where.
            row: its name.
            measurement: 1, or 2 in new processes.
            verdict: what was said.
            measured: ratios and rounds.
            seconds: that it took.
        """
        if self._path is None:
            return
        found: record.Row = {"backend": backend, "row": row, "measurement": measurement}
        found["verdict"] = verdict
        if measured is not None:
            found |= _numbers("cpu_ratio", measured.processor) | _numbers("ratio", measured.clock)
            found["rounds"] = measured.rounds
        found |= {"seconds": round(seconds), "load": round(os.getloadavg()[0], 1)}
        self._rows.append({**self._check, **found})
        record.save(self._path, self._rows, KEY, None)


def _numbers(name: str, estimate: Estimate | None) -> record.Row:
    """A median and its interval."""
    if estimate is None:
        return {}
    numbers = {name: estimate.ratio, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
    return {key: round(value, 4) for key, value in numbers.items()}
