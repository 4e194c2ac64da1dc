"""What a comparison would train, and how long it still takes."""

import dataclasses
import json

import pytest

from keras_ccsam.comparison import compare, plan_comparison, time_left
from keras_ccsam.comparison.time_left import TimeLeft
from keras_ccsam.data.sources import digits
from keras_ccsam.runs.run_directory import RunDirectory

pytestmark = pytest.mark.any_backend


@pytest.fixture(scope="module")
def compared(small, tmp_path_factory):
    """ce and crt with one seed, trained."""
    out = tmp_path_factory.mktemp("compare") / "out"
    compare([small("ce"), small("crt")], seeds=[0], out=out, progress="none")
    return out


def test_a_plan_says_what_is_shared_and_reads_nothing(small, tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "load_digits", lambda: pytest.fail("images were read"))
    chosen = [small("ce"), small("crt"), small("ccsam")]
    plan = plan_comparison(chosen, 2, tmp_path / "x")
    assert not (tmp_path / "x").exists()
    lenders = [run.lender and run.lender.name for run in plan.runs]
    assert lenders == [None, "ce-seed0", None, None, "ce-seed1", None]
    assert [run.epochs for run in plan.runs[:3]] == [(2, 0), (0, 2), (2, 2)]
    text = plan.text()
    assert "runs      6, of which 0 are finished" in text
    assert "stage 1   4 to train; 2 taken over from another run" in text
    row = next(line for line in text.splitlines() if line.startswith("crt-seed1"))
    assert row.split() == ["crt-seed1", "to", "train", "0", "+", "2", "of", "ce-seed1"]
    content = json.loads(json.dumps(plan.to_dict()))
    assert content["runs"][1]["stage1_from"] == "ce-seed0"


def test_a_plan_knows_what_is_there(small, compared):
    plan = plan_comparison([small("ce"), small("crt"), small("lws")], [0], compared)
    assert [run.finished for run in plan.runs] == [True, True, False]
    # Of a finished run it is what was done; of the others, what would be.
    assert [run.lender and run.lender.name for run in plan.runs] == [None, "ce-seed0", "ce-seed0"]
    assert [run.path.name for run in plan.waiting] == ["lws-seed0"]
    assert "runs      3, of which 2 are finished" in plan.text()


def test_the_plan_is_what_is_trained(small, compared):
    for run in plan_comparison([small("ce"), small("crt")], [0], compared).runs:
        taken = RunDirectory(run.path).results()["stage1_from"]
        assert (taken is None) == (run.lender is None)


def test_seeds_that_would_fill_the_memory_are_refused(small, tmp_path):
    for seeds in (10**20, 1001, list(range(1001))):
        with pytest.raises(ValueError, match="`seeds` must be how many, from 1 to 1000"):
            plan_comparison([small("ce")], seeds, tmp_path / "x")


def test_a_comparison_says_what_is_shared_and_how_long_it_takes(small, tmp_path, capsys):
    compare([small("ce"), small("crt")], seeds=1, out=tmp_path / "x", compile_cache="off")
    lines = capsys.readouterr().out.splitlines()
    # Once for all runs, and not before the first of them can begin.
    assert [line for line in lines if line.startswith("note: ")] == [
        lines.pop(1),  # of the imbalance ratio
        lines.pop(1),  # of the few steps
    ]
    assert lines[0] == "run 1/2: ce, seed 0"
    assert lines[1].startswith("stage 1/1  epoch 1/2  ") and lines[1].endswith("left in all)")
    assert lines[3].startswith("run 2/2: crt, seed 0 (first stage of ce-seed0); ")
    assert lines[3].endswith(" left in all")
    assert lines[4].startswith("stage 1/2  shared with ") and "ce-seed0: taken over" in lines[4]
    assert lines[5].startswith("stage 2/2  epoch 1/2  ")


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def perf_counter(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    hand = Clock()
    monkeypatch.setattr(time_left, "time", hand)
    return hand


def train(left, clock, run, stages, beside):
    """Go through a run: seconds of each epoch by stage, and what it takes beside them."""
    left.start(run)
    answer = None
    for stage, epochs in stages.items():
        for done, seconds in enumerate(epochs, start=1):
            clock.now += seconds
            answer = left.after_epoch(stage, done, seconds)
    clock.now += beside
    left.finish()
    return answer


def test_the_time_left_is_that_of_the_measured_epochs(small, tmp_path, clock):
    runs = plan_comparison([small("ce"), small("crt")], 2, tmp_path / "x").runs
    left = TimeLeft(runs)
    assert left.seconds() is None
    assert [left.number(run) for run in runs] == ["1/4", "2/4", "3/4", "4/4"]
    # ce-seed0: two epochs; the first compiles for 6 of its 10 seconds.
    assert train(left, clock, runs[0], {1: [10.0, 4.0]}, beside=3.0) is not None
    # Left: crt 0 (2 epochs, as slow as stage 1 for all we know), ce 1, crt 1; 9 s beside each.
    assert left.seconds() == pytest.approx(3 * (2 * 4.0 + 9.0))
    train(left, clock, runs[1], {2: [0.5, 0.5]}, beside=2.0)
    # A run whose first stage is another's is the cheaper for it.
    assert left.seconds() == pytest.approx((2 * 4.0 + 9.0) + (2 * 0.5 + 2.0))
    left.start(runs[2])
    clock.now += 4.0
    assert left.after_epoch(1, 1, 4.0) == pytest.approx((4.0 + 9.0) + 3.0)
    clock.now += 5.0  # half a minute too long is not counted as a gain
    assert left.seconds() == pytest.approx((4.0 + 4.0) + 3.0)


def test_after_the_last_epoch_what_follows_it_is_left(small, tmp_path, clock):
    runs = plan_comparison([small("ce")], 2, tmp_path / "x").runs
    left = TimeLeft(runs)
    left.start(runs[0])
    clock.now += 20.0  # data and programs
    left.after_epoch(1, 1, 4.0)
    assert left.after_epoch(1, 2, 4.0) == pytest.approx(2 * 4.0)  # the other run's epochs
    clock.now += 3.0
    left.finish()
    left.start(runs[1])
    left.after_epoch(1, 1, 4.0)
    assert left.after_epoch(1, 2, 4.0) == pytest.approx(3.0)
    clock.now += 1.0
    assert left.seconds() == pytest.approx(2.0)


def test_runs_that_will_not_be_trained_take_no_time(small, tmp_path, clock):
    first = plan_comparison([small("ce")], 1, tmp_path / "a").runs
    second = plan_comparison([small("ce")], 2, tmp_path / "b").runs
    left = TimeLeft([*first, *second])
    train(left, clock, first[0], {1: [4.0, 4.0]}, beside=0.0)
    assert left.seconds() == pytest.approx(16.0)
    left.drop(tmp_path / "b")
    assert left.seconds() == 0.0


def test_finished_runs_are_measured_at_once(small, compared):
    runs = plan_comparison([small("ce"), small("crt")], [0, 1], compared).runs
    seconds = RunDirectory(compared / "ce-seed0").results()["seconds"]["stage1"]
    left = TimeLeft(runs)
    crt = next(run for run in runs if run.recipe.name == "crt" and not run.finished)
    alone = dataclasses.replace(crt, lender=None)
    assert TimeLeft([*runs[:2], alone]).seconds() > TimeLeft([*runs[:2], crt]).seconds()
    assert left.seconds() >= seconds
