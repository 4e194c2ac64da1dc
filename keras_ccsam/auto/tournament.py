"""The rungs of a tournament, trained one after another, and who is left in the end."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.auto.entrants import Entrant
from keras_ccsam.auto.ladder import (
    Rung,
    Terms,
    affordable,
    features_seconds,
    rest_seconds,
    rung_seconds,
)
from keras_ccsam.auto.lost import refuse_lost
from keras_ccsam.auto.plan import AutoPlan, rung_text
from keras_ccsam.auto.record import Record
from keras_ccsam.auto.shortened import shortened
from keras_ccsam.auto.uncertainty import Estimate, Right, estimate
from keras_ccsam.auto.weighing import weighed
from keras_ccsam.auto.wording import rung_table
from keras_ccsam.comparison.compare import train_waiting
from keras_ccsam.comparison.plan import PlannedRun, plan_comparison, run_path, seeded
from keras_ccsam.comparison.time_left import TimeLeft
from keras_ccsam.launching import Launcher
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.asked import can_go_on
from keras_ccsam.runs.claim import release
from keras_ccsam.runs.folders import is_set_aside
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.set_aside import set_aside


@dataclasses.dataclass(frozen=True)
class Round:
    """A rung that was played.

    Attributes:
        rung: what was planned.
        folder: of its runs.
        rights: by recipe, which validation images are right, one (N,) per seed.
        estimates: by recipe.
        weighed: by recipe, what decides.
        staying: the recipes that go on; after the last rung, all of it.
        told: the same as JSON types, for auto.json.
    """

    rung: Rung
    folder: Path
    rights: dict[str, list[Right]]
    estimates: dict[str, Estimate]
    weighed: dict[str, float]
    staying: tuple[str, ...]
    told: dict[str, Any]

    @property
    def best(self) -> str:
        """The recipe that is ahead, all in all; the first of equals."""
        return max(self.weighed, key=lambda name: self.weighed[name])


class Clock(TimeLeft):
    """The time left of a rung's runs and of what comes after it.

    Args:
        runs: of the rung.
        later: seconds that the rest of the tournament takes.
        spent: told of the seconds of each run that is done.
    """

    def __init__(
        self, runs: Sequence[PlannedRun], later: float, spent: Callable[[float], None]
    ) -> None:
        super().__init__(runs)
        self._later = later
        self._spent = spent

    def seconds(self) -> float | None:
        """Return the seconds left; None where nothing was measured yet."""
        left = super().seconds()
        return None if left is None else left + self._later

    def finish(self, whole: bool = True) -> None:
        """Count the run that is done."""
        super().finish(whole)
        self._spent(time.perf_counter() - self._began)


class Tournament:
    """Plays what is missing of a tournament.

    Args:
        plan: the rungs, and what was asked for.
        terms: by which they were planned.
        labels: of the validation images (N,).
        record: of the folder.
        shown: how.
        launcher: executes the runs of a rung; None for one after another in this process.
    """

    def __init__(
        self,
        plan: AutoPlan,
        terms: Terms,
        labels: NDArray[Any],
        record: Record,
        shown: Progress,
        launcher: Launcher | None = None,
    ) -> None:
        self.plan = plan
        self.terms = terms
        self.labels = labels
        self.record = record
        self.shown = shown
        self.launcher = launcher

    def rounds(self) -> list[Round]:
        """Play the rungs and return them; none where one recipe stands alone."""
        from keras_ccsam.auto.study import Study  # Optuna

        rungs, alive = self.plan.ladder.rungs, self.plan.staying
        if not rungs:
            return []
        names = [entrant.name for entrant in alive]
        study = Study(self.record.study_file, names, [rung.count for rung in rungs])
        played: list[Round] = []
        expected = features_seconds(alive, self.terms)
        for place, rung in enumerate(rungs):
            expected += rung_seconds(alive, rung.share, rung.seeds, self.terms)
            played.append(self._play(place, alive, study))
            alive = tuple(entrant for entrant in alive if entrant.name in played[-1].staying)
            if place + 1 == len(rungs) or self._ends_early(place, alive, expected):
                break
        return played

    def _play(self, place: int, alive: Sequence[Entrant], study: Any) -> Round:
        """Train what a rung lacks, judge its recipes and see which go on."""
        rung, heading = self.plan.ladder.rungs[place], self.plan.rungs()[place]
        self.shown.say(rung_text(heading))
        seeds = self.plan.asked.seeds[: rung.seeds]
        recipes = [shortened(entrant.recipe, rung.share) for entrant in alive]
        folder = self.record.path / f"rung-{place + 1}"
        _clear(folder, {run_path(folder, r, seed): r for r, seed in seeded(recipes, seeds)})
        compared = plan_comparison(recipes, seeds, folder)
        later = rest_seconds(alive, self.plan.ladder, place + 1, self.terms)
        clock, began = Clock(compared.runs, later, self.record.spend), time.perf_counter()
        diverged = train_waiting(
            compared,
            self.shown,
            clock,
            "off",
            tested=False,
            launcher=self.launcher,
            validate_every=0,  # what decides is measured at the end of each run
        )
        if self.launcher is not None:
            refuse_lost(diverged, len(compared.runs))
            self.record.spend(time.perf_counter() - began)
        release(compared.path, "comparison")
        failed = {(run.recipe, run.seed) for run in diverged}
        rights = {
            recipe.name: [
                self._right(run_path(compared.path, recipe, seed), (recipe.name, seed) in failed)
                for seed in seeds
            ]
            for recipe in recipes
        }
        estimates = {name: estimate(found, self.labels) for name, found in rights.items()}
        known = {entrant.name: entrant.expected for entrant in alive}
        # What papers report of a recipe is no reason to keep one that diverges here.
        last = dict.fromkeys((run.recipe for run in diverged), 0.0)
        sound = {name: found for name, found in rights.items() if name not in last}
        ranked = weighed(sound or rights, self.labels, known)
        values = {name: last.get(name, ranked.scores.get(name, 0.0)) for name in rights}
        study.report(
            place,
            values,
            balanced_accuracy={n: e.balanced for n, e in estimates.items()},
            standard_error={n: e.error for n, e in estimates.items()},
        )
        if place + 1 < len(self.plan.ladder.rungs):
            staying = study.halve(tuple(values))
        else:
            study.finish(values)
            staying = tuple(values)
        results = [
            {
                "recipe": name,
                **found.to_dict(),
                "weighed": values[name],
                "goes_on": name in staying,
            }
            for name, found in estimates.items()
        ]
        told = heading | {"images_weigh": ranked.images, "results": results}
        self.shown.say(f"\n{rung_table(told)}\n")
        return Round(rung, compared.path, rights, estimates, values, staying, told)

    def _ends_early(self, place: int, alive: Sequence[Entrant], expected: float) -> bool:
        """Whether the winner is chosen after a rung, because all took longer than was measured.

        The decision is written down: a tournament that goes on after a kill keeps to it.
        """
        ladder, record = self.plan.ladder, self.record
        if record.cut is None:
            slower = max(1.0, record.spent / max(expected, 1e-6))
            left = (self.plan.asked.budget - record.spent) / slower
            if rest_seconds(alive, ladder, place + 1, self.terms) <= left:
                return False
            share = affordable(alive, ladder.rungs[place].share, ladder.share, left, self.terms)
            record.end_after(place, share)
        if record.cut is None or record.cut[0] != place:
            return False
        self.shown.say("this takes longer than was measured: the choice is made now")
        return True

    def _right(self, path: Path, diverged: bool) -> Right:
        if diverged:
            return np.zeros(len(self.labels))
        predicted = RunDirectory(path).validation()
        if predicted.shape != self.labels.shape:
            raise ValueError(
                "the run predicts other validation images than the data has now: its source has "
                f"changed. Received: run={str(path)!r}"
            )
        return np.asarray(predicted == self.labels, "float64")


def _clear(folder: Path, planned: Mapping[Path, Recipe]) -> None:
    """Set aside what interrupted runs of a rung left, where they cannot be gone on with."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        begun = path.is_dir() and not is_set_aside(path)
        directory = RunDirectory(path)
        if not begun or directory.status() in ("absent", "complete"):
            continue
        if path not in planned or not can_go_on(directory, planned[path]):
            set_aside(path)
