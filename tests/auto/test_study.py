"""The tournament's Optuna study: who goes on, and that it survives whatever is left of it."""

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from keras_ccsam.auto.study import Study

pytestmark = pytest.mark.any_backend

NAMES = ("a", "b", "c", "d")
FIRST = {"a": 0.5, "b": 0.7, "c": 0.7, "d": 0.9}


def trials(path):
    storage = JournalStorage(JournalFileBackend(str(path)))
    found = optuna.load_study(study_name="auto", storage=storage).trials
    return {trial.params["recipe"]: trial for trial in found}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "study.log"


def play(path, counts=(4, 2)):
    study = Study(path, NAMES, counts)
    study.report(0, FIRST, seconds=dict.fromkeys(NAMES, 3.0))
    return study, study.halve(NAMES)


def test_the_better_half_goes_on_and_the_first_of_equals(path):
    study, staying = play(path)
    assert staying == ("b", "d")
    study.report(1, {"b": 0.8, "d": 0.75})
    assert study.halve(staying) == ("b", "d")
    study.finish({"b": 0.8, "d": 0.75})
    found = trials(path)
    assert {name: trial.state.name for name, trial in found.items()} == {
        "a": "PRUNED", "b": "COMPLETE", "c": "PRUNED", "d": "COMPLETE",
    }  # fmt: skip
    assert found["b"].intermediate_values == {0: 0.7, 1: 0.8}
    assert found["b"].user_attrs == {"rung1_seconds": 3.0}
    assert found["b"].value == 0.8


def test_the_same_again_changes_nothing(path):
    study, staying = play(path)
    study.finish({"b": 0.8, "d": 0.75})
    before = trials(path)
    again, same = play(path)
    again.finish({"b": 0.8, "d": 0.75})
    assert same == staying
    assert trials(path) == before


def test_a_study_that_was_cut_anywhere_is_completed(path):
    play(path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 97):
        path.write_bytes(whole[:size])
        path.with_name("study.log.lock").write_text("")
        _, staying = play(path)
        assert staying == ("b", "d")
        assert {t.state.name for t in trials(path).values()} == {"PRUNED", "RUNNING"}


def test_a_damaged_study_is_made_anew_and_kept(path):
    play(path)
    damaged = b"\x00not json\n" + path.read_bytes()
    path.write_bytes(damaged)
    _, staying = play(path)
    assert staying == ("b", "d")
    assert path.with_name("study.log.damaged-1").read_bytes() == damaged
