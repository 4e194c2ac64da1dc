"""All trackers of a run, kept from doing it any harm."""

import contextlib
import importlib
import json
import math
import random
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from keras_ccsam.trackers.known import check
from keras_ccsam.trackers.tracker import Plain, TrackedRun, Tracker

# Of a record, what is no metric.
_PLACE = ("stage", "epoch", "steps")
_SCORES = ("overall", "balanced", "ece")


class Tracking:
    """Tells trackers of a run, from `with` to its end.

    A tracker that fails is left out from then on, with one warning. Random numbers that a tracker
    draws are not missing to the run, and what it prints goes to stderr.

    Args:
        names: of the trackers.
        path: the run directory.
        recipe: as `Recipe.to_dict` has it.
        digest: of the recipe.
        group: the comparison that the run belongs to; "" for a run of its own.

    Raises:
        ValueError: as `known.check`.
    """

    def __init__(
        self,
        names: Sequence[str],
        path: Path,
        recipe: Mapping[str, Any],
        digest: str = "",
        group: str = "",
    ) -> None:
        self.names = check(names)
        self.run = TrackedRun(path, path.resolve().name, group, flat(recipe), digest)
        self._open: dict[str, Tracker] = {}
        self._epoch = self._total = 0

    def __enter__(self) -> "Tracking":
        """Open all of them."""
        for name in self.names:
            with self._harmless(name):
                module = importlib.import_module(f"keras_ccsam.trackers.to_{name}")
                self._open[name] = module.Run(self.run)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close them."""
        for name, tracker in list(self._open.items()):
            with self._harmless(name):
                tracker.close(failed=kind is not None)

    def epoch(self, record: Mapping[str, Any]) -> None:
        """Tell of an epoch: one record of metrics.jsonl."""
        self._epoch = record["epoch"]
        self._total += 1
        stage = f"stage{record['stage']}"
        self._log({f"{stage}/{k}": v for k, v in record.items() if k not in _PLACE})

    def results(self, results: Mapping[str, Any]) -> None:
        """Tell of the results: the content of results.json."""
        values: dict[str, Any] = {}
        splits = {"stage1": "after_stage1", "test": "test", "validation": "validation"}
        for split, shown in splits.items():
            report = results.get(split, {})
            if split == "stage1" and report == results.get("test"):
                continue  # nothing followed
            values |= {f"{shown}/{key}": report[key] for key in _SCORES if key in report}
            values |= {f"{shown}/{k}": v for k, v in report.get("groups", {}).items()}
        self._log(values)

    def _log(self, values: Mapping[str, Any]) -> None:
        finite = {
            key: float(value)
            for key, value in values.items()
            if isinstance(value, int | float) and math.isfinite(value)
        }
        for name, tracker in list(self._open.items()):
            with self._harmless(name):
                tracker.log(finite, self._epoch, self._total)

    @contextlib.contextmanager
    def _harmless(self, name: str) -> Iterator[None]:
        """Let a tracker fail without the run; leave the random state as it was."""
        state, numpy_state = random.getstate(), np.random.get_state()
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        except Exception as error:
            self._open.pop(name, None)
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            warnings.warn(
                f"{name} does not track this run any more; the run goes on: {reason}", stacklevel=4
            )
        finally:
            random.setstate(state)
            np.random.set_state(numpy_state)


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Plain]:
    """Return nested tables as one: `stage1.epochs`; a list as its JSON."""
    values: dict[str, Plain] = {}
    for key, value in table.items():
        if isinstance(value, Mapping):
            values |= flat(value, f"{prefix}{key}.")
        elif isinstance(value, bool | int | float | str):
            values[f"{prefix}{key}"] = value
        elif value is not None:
            values[f"{prefix}{key}"] = json.dumps(value)
    return values
