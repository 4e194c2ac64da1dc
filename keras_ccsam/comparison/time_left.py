"""How long the runs of a comparison still take, by those that were measured."""

import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from keras_ccsam.comparison.plan import PlannedRun
from keras_ccsam.runs.run_directory import RunDirectory

# A run that does not train its first stage is cheaper by it, so stages are counted apart.
_STAGES = (1, 2)


class TimeLeft:
    """Estimate the time that runs still need.

    A recipe's stage takes, for each epoch, what it took with other seeds, else what the other
    recipes' took on average. What a run takes beside its epochs (data, compilation, evaluation) is
    what it last took with this recipe, else the least it took with another one: the first run also
    imports what all of them need. After the last epoch of a run it is what followed that epoch in
    other runs. A second stage is taken to be as slow as a first one until one was measured.

    Args:
        runs: all of them, in the order they are trained in; finished ones are measured.
    """

    def __init__(self, runs: Iterable[PlannedRun]) -> None:
        self.runs = list(runs)
        self._waiting = [run for run in self.runs if not run.finished]
        self._epoch: dict[tuple[str, int], list[float]] = {}
        self._beside: dict[str, float] = {}
        self._after: dict[str, float] = {}
        self._current: PlannedRun | None = None
        self._began = self._last_epoch = 0.0
        self._done = dict.fromkeys(_STAGES, 0)
        for run in self.runs:
            if run.finished and run.lender is None:
                self._learn(run)

    def number(self, run: PlannedRun) -> str:
        """Return `3/16`: which of all runs this is."""
        return f"{self.runs.index(run) + 1}/{len(self.runs)}"

    def start(self, run: PlannedRun) -> None:
        """A run begins."""
        self._current = run
        self._began = time.perf_counter()
        self._done = dict.fromkeys(_STAGES, 0)

    def after_epoch(self, stage: int, done: int, seconds: float) -> float | None:
        """Count an epoch of the current run; return the seconds left of all runs."""
        if self._current is None:
            return None
        self._done[stage] = done
        self._last_epoch = time.perf_counter()
        # The first epoch compiles: it says little of the others, but more than nothing.
        measured = self._epoch.setdefault((self._current.recipe.name, stage), [])
        if done == 2:
            measured.pop()
        measured.append(seconds)
        return self.seconds()

    def finish(self, whole: bool = True) -> None:
        """The current run is done; of one that is not `whole` nothing is learnt."""
        if self._current is None:
            return
        name = self._current.recipe.name
        if whole:
            self._beside[name] = self._beside_epochs(self._current)
        if whole and any(self._done.values()):
            self._after[name] = time.perf_counter() - self._last_epoch
        self._waiting.remove(self._current)
        self._current = None

    def drop(self, folder: Path) -> None:
        """Leave out the runs below a folder: they will not be trained."""
        self._waiting = [run for run in self._waiting if run.path.parent != folder]
        self._current = None

    def seconds(self) -> float | None:
        """Return the seconds left; None where nothing was measured yet."""
        if not self._epoch:
            return None
        return sum(self._cost(run) for run in self._waiting)

    def _cost(self, run: PlannedRun) -> float:
        current = run is self._current
        if current and any(run.epochs) and tuple(self._done.values()) == run.epochs:
            after = self._after.get(run.recipe.name, min(self._after.values(), default=0.0))
            return max(0.0, after - (time.perf_counter() - self._last_epoch))
        cost = 0.0
        for stage, epochs in zip(_STAGES, run.epochs, strict=True):
            left = epochs - self._done[stage] if current else epochs
            cost += left * self._per_epoch(run.recipe.name, stage) if left else 0.0
        least = min(self._beside.values(), default=0.0)
        beside = self._beside.get(run.recipe.name, least)
        return cost + max(0.0, beside - self._beside_epochs(run) if current else beside)

    def _beside_epochs(self, run: PlannedRun) -> float:
        """The seconds of the current run so far, less its epochs at their usual pace."""
        usual = (n * self._per_epoch(run.recipe.name, stage) for stage, n in self._done.items())
        return max(0.0, time.perf_counter() - self._began - sum(usual))

    def _per_epoch(self, name: str, stage: int) -> float:
        own = self._epoch.get((name, stage))
        if own:
            return statistics.fmean(own)
        for wanted in (stage, 1, 2):
            others = [statistics.fmean(v) for (_, s), v in self._epoch.items() if s == wanted and v]
            if others:
                return statistics.fmean(others)
        return 0.0

    def _learn(self, run: PlannedRun) -> None:
        """Take the times of a run that was finished before."""
        results = RunDirectory(run.path).results()
        for stage in _STAGES:
            epochs = results.get("epochs", {}).get(f"stage{stage}")
            if epochs:
                seconds = results["seconds"][f"stage{stage}"] / epochs
                self._epoch.setdefault((run.recipe.name, stage), []).append(seconds)
