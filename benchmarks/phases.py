"""Where a run is, seen from outside: by what its process has left on the disk since it began."""

import contextlib
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

START, HELPER = "before the first step", "M2m's helper"
STAGE_1, SAVE = "stage 1", "while it was saved"
BETWEEN, STAGE_2 = "between the stages", "stage 2"
EVALUATION, AFTER = "evaluation", "after the results"
PHASES = (START, HELPER, STAGE_1, SAVE, BETWEEN, STAGE_2, EVALUATION, AFTER)

_TICK = 0.001


class Watch:
    """Looks at one process that trains a run.

    Args:
        folder: of the run.
        epochs: of the second stage; 0 where there is none.
    """

    def __init__(self, folder: Path, epochs: int) -> None:
        self.folder, self.epochs = folder, epochs
        self._since = time.time_ns()
        self._last = START

    def phase(self) -> str:
        """The phase that the run is in now, or was in when its process was killed."""
        with contextlib.suppress(FileNotFoundError):  # it was moved while it was looked at
            self._last = self._seen()
        return self._last

    def _seen(self) -> str:
        helper = self.folder / "helper"
        if helper.is_dir() and not (helper / "results.json").is_file():
            return HELPER if self._newest(helper / "checkpoints/state/stage1") else START
        if (self.folder / "results.json").is_file():
            return AFTER
        if not self._is_new(self.folder / "state.json"):
            return START
        checkpoints = self.folder / "checkpoints"
        state = checkpoints / "state"
        if self._writes(self.folder) or self._writes(checkpoints):
            return SAVE
        for stage in ("stage1", "stage2"):
            if self._newest(state / stage).endswith(".writing"):
                return SAVE
        if (checkpoints / "stage1.weights.h5").is_file():
            return self._after_stage_1(state / "stage2")
        return STAGE_1 if self._newest(state / "stage1") else START

    def _after_stage_1(self, state: Path) -> str:
        if not self.epochs:
            return EVALUATION
        log = self.folder / "metrics.jsonl"
        if self._is_new(log) and log.read_text().count('"stage": 2') == self.epochs:
            return EVALUATION
        if self._newest(state):
            return STAGE_2
        return START if state.is_dir() and any(state.iterdir()) else BETWEEN

    def _is_new(self, path: Path | os.DirEntry[str]) -> bool:
        try:
            return path.stat().st_mtime_ns > self._since
        except FileNotFoundError:
            return False

    def _writes(self, folder: Path) -> bool:
        """Whether the weights of stage 1 or the network are being written."""
        ends = (".stage1.weights.h5", ".model.keras")
        with os.scandir(folder) as entries:
            hidden = [e for e in entries if e.name.startswith(".") and e.name.endswith(ends)]
        return any(self._is_new(entry) for entry in hidden)

    def _newest(self, state: Path) -> str:
        """The state that this process wrote last, whole or not; "" where it wrote none."""
        if not state.is_dir():
            return ""
        with os.scandir(state) as entries:
            names = [entry.name for entry in entries if self._is_new(entry)]
        return max(names, key=lambda name: name.split(".")[-1] == "writing", default="")


class Lengths:
    """How long each phase of a run lasts, by a run that was watched to its end."""

    def __init__(self) -> None:
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._spells: dict[str, list[float]] = defaultdict(list)

    def observe(self, watch: Watch, lives: Callable[[], bool]) -> None:
        """Watch a process until it ends."""
        now, began = START, time.monotonic()
        while lives():
            seen, at = watch.phase(), time.monotonic()
            if seen != now:
                self._spells[now].append(at - began)
                now, began = seen, at
            self._first.setdefault(seen, at)
            self._last[seen] = at
            time.sleep(_TICK)

    def window(self, phase: str) -> float:
        """Seconds from its first moment to its last."""
        return self._last.get(phase, 0.0) - self._first.get(phase, 0.0)

    def spell(self, phase: str) -> float:
        """Seconds that it lasts without an interruption by another."""
        return statistics.median(self._spells.get(phase) or [0.0])


def wait_for(watch: Watch, phase: str, lives: Callable[[], bool]) -> bool:
    """Wait until a run is in a phase, or past it; return False where its process ended before."""
    # A save is in any phase but the first ones.
    past = PHASES.index(phase) if phase != SAVE else PHASES.index(AFTER)
    while lives():
        seen = watch.phase()
        if seen == phase or (seen != SAVE and PHASES.index(seen) > past):
            return True
        time.sleep(_TICK)
    return False
