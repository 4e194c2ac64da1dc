"""One run as its folder shows it at a moment; nothing is written, and nobody waits."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import light

Record = dict[str, Any]
GROUPS = ("many", "medium", "few")
RUNNING, STALE, KILLED, COMPLETE, FAILED = "running", "stale", "killed", "complete", "failed"

# Whose change shows that the run goes on.
_TRACES = (
    "state.json",
    "recipe.toml",
    "metrics.jsonl",
    "checkpoints/stage1.weights.h5",
    "model.keras",
    "results.json",
    "helper/metrics.jsonl",
    "helper/state.json",
)


@dataclass(frozen=True)
class Stage:
    """One stage of a run.

    Attributes:
        number: 1 or 2.
        epochs: planned; 0 where the recipe cannot be read.
        records: one per finished epoch.
    """

    number: int
    epochs: int
    records: tuple[Record, ...]

    @property
    def done(self) -> int:
        """Epochs that are finished."""
        return len(self.records)

    @property
    def left(self) -> int:
        """Epochs that are not."""
        return max(0, self.epochs - self.done)

    @property
    def accuracy_key(self) -> str | None:
        """The accuracy to look at: that on the validation split, where there is one."""
        names = [key for key in (self.records[-1] if self.records else {}) if "accuracy" in key]
        return min(names, key=lambda name: not name.startswith("val_"), default=None)

    def series(self, key: str) -> list[float | None]:
        """A metric over the epochs; None where it was not finite, or is no number."""
        return [_number(record.get(key)) for record in self.records]

    def seconds(self) -> float | None:
        """The median time of an epoch's training steps; the first one also compiles."""
        times = [value for value in self.series("seconds") if value is not None]
        return statistics.median(times[1:] or times) if times else None


@dataclass(frozen=True)
class Look:
    """One run.

    Attributes:
        path: its folder.
        name: what it is called beside the others.
        recipe: the recipe's name.
        state: "running", "complete", "failed", or "killed": it was interrupted, or says that it is
            running, and its process is gone; "stale" is for a caller that knows the time.
        reason: why it failed, or what of it cannot be read; else "".
        stages: those that the recipe has.
        scores: of the results: "overall" and the groups, on the test set; empty before the end.
        radius: by group or class, over the epochs; empty where it is not recorded.
        changed: when the folder last changed, in seconds since 1970.
        recorded: when the last record was written.
    """

    path: Path
    name: str
    recipe: str = ""
    state: str = RUNNING
    reason: str = ""
    stages: tuple[Stage, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    radius: Mapping[str, list[float | None]] = field(default_factory=dict)
    changed: float = 0.0
    recorded: float = 0.0

    @property
    def stage(self) -> Stage | None:
        """The stage that is being trained, or the last one; None where no recipe is there yet."""
        waiting = [stage for stage in self.stages if stage.left]
        return waiting[0] if waiting else self.stages[-1] if self.stages else None


def look(path: Path, name: str | None = None) -> Look:
    """Read a run directory. What is absent, or not whole yet, counts as not there."""
    state = _json(path / "state.json")
    recipe = _recipe(path / "recipe.toml")
    results = _json(path / "results.json")
    reason = str(state.get("error", ""))
    try:
        records = light.library("json_lines").read(path / "metrics.jsonl")
    except (OSError, ValueError) as error:
        records, reason = [], reason or f"metrics.jsonl cannot be read: {error}"
    status = state.get("status")
    if status == "interrupted":  # by a signal, and saved: `ccsam train --resume` goes on
        status = KILLED
    if status not in (RUNNING, COMPLETE, FAILED, KILLED):
        status = COMPLETE if results else RUNNING
    if status == RUNNING and abandoned(path):
        status = KILLED
    times = [_changed(path / trace) for trace in _TRACES]
    return Look(
        path,
        name or path.resolve().name,
        str(recipe.get("name", "")),
        status,
        reason,
        _stages(recipe, records),
        _scores(results),
        _radius(path / "analysis"),
        max(times),
        _changed(path / "metrics.jsonl"),
    )


def began(path: Path) -> float:
    """When a run began: its recipe is written once, at the start."""
    return _changed(path / "recipe.toml") or _changed(path / "state.json")


def status(path: Path) -> str | None:
    """What state.json says; None without one."""
    found = _json(path / "state.json").get("status")
    return found if isinstance(found, str) else None


def abandoned(path: Path) -> bool:
    """Whether a folder says that something runs in it, and the process that does is gone."""
    writer = light.library("writer")
    if writer.standing(_json(path / "state.json").get("process")) != writer.GONE:
        return False
    # It may have ended in between, and said so.
    return status(path) == RUNNING


def _stages(recipe: Mapping[str, Any], records: list[Record]) -> tuple[Stage, ...]:
    stages = []
    for number in (1, 2):
        table = recipe.get(f"stage{number}")
        epochs = table.get("epochs") if isinstance(table, dict) else None
        own = tuple(record for record in records if record.get("stage") == number)
        if own or epochs:
            stages.append(Stage(number, epochs if isinstance(epochs, int) else len(own), own))
    return tuple(stages)


def _scores(results: Mapping[str, Any]) -> dict[str, float]:
    test = results.get("test")
    if not isinstance(test, dict):
        return {}
    groups = test.get("groups")
    values = {"overall": test.get("overall"), **(groups if isinstance(groups, dict) else {})}
    wanted = {key: _number(values.get(key)) for key in ("overall", *GROUPS)}
    return {key: value for key, value in wanted.items() if value is not None}


def _radius(folder: Path) -> dict[str, list[float | None]]:
    """What `--record radius` has written: the radii of the head and the tail class, by name."""
    found = _json(folder / "radius.json")
    values, counts, names = (found.get(key) for key in ("values", "class_counts", "class_names"))
    rows = values.get("radius") if isinstance(values, dict) else None
    if not (isinstance(rows, list) and isinstance(counts, list) and isinstance(names, list)):
        return {}
    if not counts or any(not isinstance(row, list) or len(row) != len(counts) for row in rows):
        return {}
    ends = dict.fromkeys((counts.index(max(counts)), counts.index(min(counts))))
    return {
        f"class {names[label]}": [_number(row[label]) for row in rows]
        for label in ends
        if label < len(names)
    }


def _recipe(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        found: dict[str, Any] = light.library("recipes.toml").parse(text, str(path))
    except (OSError, ValueError):
        return {}
    return found


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _number(value: Any) -> float | None:
    usable = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if usable and abs(value) < float("inf") else None
