"""What a tracker is told, and what it is."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

PROJECT = "keras-ccsam"
"""What the runs are kept under, where a tracker's own variable does not name another project."""

Plain = bool | int | float | str


@dataclasses.dataclass(frozen=True)
class TrackedRun:
    """What is known of a run before it trains.

    Attributes:
        path: the run directory.
        name: what the tracker shows.
        group: the comparison that it belongs to; "" for a run of its own.
        config: the recipe, flat: `stage1.epochs`.
        digest: of the recipe.
    """

    path: Path
    name: str
    group: str
    config: Mapping[str, Plain]
    digest: str


class Tracker(Protocol):
    """A run in one tracker. Whatever it raises ends the tracking, and costs the run nothing."""

    def __init__(self, run: TrackedRun) -> None:
        """Open it."""

    def log(self, values: Mapping[str, float], epoch: int, total: int) -> None:
        """Add numbers.

        Args:
            values: by name, such as `stage1/loss`; finite.
            epoch: of the stage, from 1; the last epoch for results.
            total: epochs of both stages so far.
        """

    def close(self, *, failed: bool) -> None:
        """End it."""
