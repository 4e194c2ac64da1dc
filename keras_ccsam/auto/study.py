"""The tournament as an Optuna study: one trial per recipe, one reported value per rung.

The study is a journal file, which Optuna's own tools read (optuna-dashboard study.log). The runs'
folders are the truth: whatever the journal lacks after a kill is written into it again from them.

Optuna's `SuccessiveHalvingPruner` is the asynchronous form, for many workers: it compares a trial
with those that came to its rung before it, so that of recipes trained one after another the first
always goes on. `Halving` decides when all of a rung are there.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.pruners import BasePruner
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState

NAME = "auto"
_RECIPE = "recipe"


class Halving(BasePruner):
    """Synchronous successive halving: the best `counts[k]` go on to rung k.

    Args:
        counts: of the recipes on each rung.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        self.counts = tuple(counts)

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Return whether a trial ends after the last rung that it reported.

        Of equal values the trial that was asked for first goes on.
        """
        rung = trial.last_step
        if rung is None or rung + 1 >= len(self.counts):
            return False
        reached = [t for t in study.get_trials(deepcopy=False) if rung in t.intermediate_values]
        ranked = sorted(reached, key=lambda t: (-t.intermediate_values[rung], t.number))
        return trial.number not in [t.number for t in ranked[: self.counts[rung + 1]]]


class Study:
    """The study of a tournament, opened or made.

    Args:
        path: the journal.
        recipes: their names, in the order that decides between equals.
        counts: of the recipes on each rung.
    """

    def __init__(self, path: Path, recipes: Sequence[str], counts: Sequence[int]) -> None:
        with _quiet():
            try:
                self._study = _opened(path, counts)
            except (ValueError, KeyError, AssertionError):
                # A journal that was damaged tells nothing that the runs do not.
                _set_aside(path)
                self._study = _opened(path, counts)
            there = {trial.params[_RECIPE] for trial in self._study.get_trials(deepcopy=False)}
            choices = optuna.distributions.CategoricalDistribution(tuple(recipes))
            for name in recipes:
                if name not in there:
                    # In one line of the journal, which is there or is not.
                    self._study.add_trial(
                        optuna.trial.create_trial(
                            state=TrialState.RUNNING,
                            params={_RECIPE: name},
                            distributions={_RECIPE: choices},
                        )
                    )

    def report(self, rung: int, values: Mapping[str, float], **about: Mapping[str, Any]) -> None:
        """Write down what a rung's recipes came to, where it is not there yet.

        Args:
            rung: its number, from 0 on.
            values: by recipe, its balanced validation accuracy weighed with what is known.
            **about: further facts by recipe, kept as attributes of the trials.
        """
        with _quiet():
            for name, value in values.items():
                frozen = self._frozen(name)
                if rung in frozen.intermediate_values or frozen.state.is_finished():
                    continue
                trial = self._trial(frozen)
                for key, facts in about.items():
                    trial.set_user_attr(f"rung{rung + 1}_{key}", facts[name])
                trial.report(value, rung)

    def halve(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return which recipes go on, once all of a rung were reported."""
        with _quiet():
            # First all answers, then the states: one trial's end must not change another's answer.
            ends = {name: self._ends(name) for name in names}
            for name, end in ends.items():
                if end and not self._frozen(name).state.is_finished():
                    self._study.tell(self._frozen(name).number, state=TrialState.PRUNED)
        return tuple(name for name in names if not ends[name])

    def finish(self, values: Mapping[str, float]) -> None:
        """Complete the trials that the last rung left."""
        with _quiet():
            for name, value in values.items():
                frozen = self._frozen(name)
                if not frozen.state.is_finished():
                    self._study.tell(frozen.number, value)

    def _ends(self, name: str) -> bool:
        frozen = self._frozen(name)
        if frozen.state.is_finished():
            return frozen.state == TrialState.PRUNED
        return self._trial(frozen).should_prune()

    def _frozen(self, name: str) -> FrozenTrial:
        trials = self._study.get_trials(deepcopy=False)
        return next(trial for trial in trials if trial.params[_RECIPE] == name)

    def _trial(self, frozen: FrozenTrial) -> optuna.Trial:
        return optuna.Trial(self._study, frozen._trial_id)


def _opened(path: Path, counts: Sequence[int]) -> optuna.Study:
    _mend(path)
    # A path in full: the lock of a process that was killed is found wherever this one works.
    backend = JournalFileBackend(str(path.absolute()), JournalFileOpenLock(str(path.absolute())))
    study = optuna.create_study(
        study_name=NAME,
        storage=JournalStorage(backend),
        pruner=Halving(counts),
        sampler=optuna.samplers.RandomSampler(seed=0),
        direction="maximize",
        load_if_exists=True,
    )
    study.get_trials(deepcopy=False)
    return study


def _mend(path: Path) -> None:
    """Remove what a killed process left: its lock, and half a line at the end of the journal.

    Nobody else writes here: the tournament's folder is claimed.
    """
    Path(f"{path}.lock").unlink(missing_ok=True)
    if path.is_file() and (content := path.read_bytes()) and not content.endswith(b"\n"):
        with path.open("r+b") as file:
            file.truncate(content.rfind(b"\n") + 1)


def _set_aside(path: Path) -> None:
    count = 1
    while (aside := path.with_name(f"{path.name}.damaged-{count}")).exists():
        count += 1
    path.rename(aside)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's lines of every trial off the screen."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
