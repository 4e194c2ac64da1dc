"""Several runs over time: which there are, how fast they go, and whether all are over."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .find import check, collections, runs
from .look import (
    COMPLETE,
    FAILED,
    KILLED,
    RUNNING,
    STALE,
    Look,
    Stage,
    abandoned,
    began,
    look,
    status,
)

# How long nothing may happen, in epochs and in seconds: evaluation and plots follow the last epoch.
_EPOCHS, _SECONDS = 5.0, 60.0
# Before the first epoch data is downloaded and programs are compiled.
_START = 600.0
# After a run failed, a reproduction takes a moment to begin the next one.
_PAUSE = 30.0
# A run that was killed on another machine is waited for no longer than this.
_FOREVER = 3600.0


@dataclass(frozen=True)
class Shown:
    """A run and what follows from having watched it.

    Attributes:
        look: as its folder shows it; a run that has long been silent is "stale".
        pace: seconds per epoch of the stage that is trained; None before the first one.
        left: seconds left of both stages; None where that is not known, or nothing is left.
        bounded: `left` counts a second stage that nobody has measured as slow as the first one.
    """

    look: Look
    pace: float | None = None
    left: float | None = None
    bounded: bool = False


@dataclass(frozen=True)
class Frame:
    """All runs at a moment.

    Attributes:
        runs: in the order they began in.
        over: nothing more is to come.
    """

    runs: tuple[Shown, ...]
    over: bool

    def counts(self) -> dict[str, int]:
        """How many runs are in which state; those that are in none are left out."""
        found = {
            state: sum(shown.look.state == state for shown in self.runs)
            for state in (RUNNING, STALE, KILLED, FAILED, COMPLETE)
        }
        return {state: count for state, count in found.items() if count}


class Watcher:
    """Looks at runs again and again.

    A second look knows more than the first: how long an epoch takes with its validation.

    Args:
        paths: run directories, or folders that hold some, also later.

    Raises:
        ValueError: one of them is neither.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.paths = list(dict.fromkeys(paths))
        for path in self.paths:
            check(path)
        # (run, stage) -> finished epochs and their time, when they were first seen and lately.
        self._seen: dict[tuple[Path, int], tuple[tuple[int, float], tuple[int, float]]] = {}

    def frame(self, now: float | None = None) -> Frame:
        """Look.

        Args:
            now: seconds since 1970; the clock's by default.
        """
        now = time.time() if now is None else now
        looks = [self._look(path, name) for path, name in self._named()]
        looks = [self._judged(found, now) for found in looks]
        shown = tuple(self._timed(found, looks, now) for found in looks)
        return Frame(shown, self._over(looks, now))

    def _named(self) -> list[tuple[Path, str]]:
        """The runs, with the shortest names that tell them apart."""
        found: dict[Path, str] = {}
        for path in self.paths:
            for run in runs(path):
                inner = run.relative_to(path).as_posix()
                name = path.resolve().name
                found.setdefault(run, name if inner == "." else self._inner(name, inner))
        order = {run: began(run) for run in found}
        return sorted(found.items(), key=lambda item: (order[item[0]], str(item[0])))

    def _inner(self, name: str, inner: str) -> str:
        return f"{name}/{inner}" if len(self.paths) > 1 or inner == "helper" else inner

    def _look(self, path: Path, name: str) -> Look:
        found = look(path, name)
        for stage in found.stages:
            key, at = (path, stage.number), (stage.done, found.recorded)
            first, last = self._seen.get(key, (at, at))
            # The records' time goes on with the next stage; this one's ended with its last epoch.
            self._seen[key] = (first if first[0] else at, at if at[0] > last[0] else last)
        return found

    def _judged(self, found: Look, now: float) -> Look:
        """Call a run stale that says it is running, and has been silent for too long."""
        if found.state != RUNNING:
            return found
        paces = [self._pace(found.path, stage) or 0.0 for stage in found.stages]
        seconds = [v or 0.0 for stage in found.stages for v in stage.series("seconds")]
        started = any(stage.done for stage in found.stages)
        patience = max(_SECONDS, _EPOCHS * max([0.0, *paces, *seconds])) if started else _START
        return replace(found, state=STALE) if now - found.changed > patience else found

    def _timed(self, found: Look, looks: list[Look], now: float) -> Shown:
        stage = found.stage
        if stage is None:
            return Shown(found)
        pace = self._pace(found.path, stage)
        if found.state in (COMPLETE, FAILED, KILLED) or not stage.left:
            return Shown(found, pace)
        left, bounded = 0.0, False
        for part in found.stages:
            if not part.left:
                continue
            own = self._pace(found.path, part) or self._others(found, part.number, looks)
            if own is None and part.number == 2:
                own, bounded = self._pace(found.path, found.stages[0]), True
            if own is None:
                return Shown(found, pace)
            left += own * part.left
        # What of the current epoch is over already; a stale run's clock stands still.
        if pace is not None and stage.done and found.state == RUNNING:
            left -= min(pace, max(0.0, now - found.recorded))
        return Shown(found, pace, max(0.0, left), bounded)

    def _pace(self, path: Path, stage: Stage) -> float | None:
        """Seconds per epoch: seen between two looks, with validation; else of the steps alone."""
        steps = stage.seconds()
        (first, start), (done, end) = self._seen.get((path, stage.number), ((0, 0.0), (0, 0.0)))
        if not first or done <= first or steps is None:
            return steps
        return max(steps, (end - start) / (done - first))

    def _others(self, found: Look, number: int, looks: list[Look]) -> float | None:
        """What an epoch of this stage takes other runs, those of the same recipe first."""
        paces: dict[bool, list[float]] = {True: [], False: []}
        for other in looks:
            for stage in other.stages:
                pace = self._pace(other.path, stage)
                if stage.number == number and pace is not None:
                    paces[other.recipe == found.recipe].append(pace)
        known = paces[True] or paces[False]
        return statistics.fmean(known) if known else None

    def _over(self, looks: list[Look], now: float) -> bool:
        around = (folder for path in self.paths for folder in collections(path))
        waiting = [f for f in around if status(f) == RUNNING and not abandoned(f)]
        if not looks:
            return not waiting
        silent = now - max(found.changed for found in looks)
        if any(found.state == RUNNING for found in looks):
            return False
        if any(found.state == STALE for found in looks):
            return silent > _FOREVER
        # One that was interrupted says "running" for ever, and its last run says why it failed.
        lost = any(found.state in (FAILED, KILLED) for found in looks)
        return not waiting or (lost and silent > _PAUSE)
