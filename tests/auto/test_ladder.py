"""Which recipes are trained for how long within a budget."""

import dataclasses
import itertools

import pytest

from keras_ccsam import recipes
from keras_ccsam.auto.entrants import Entrant, entrants
from keras_ccsam.auto.kinds import KINDS
from keras_ccsam.auto.ladder import (
    SAFETY,
    Ladder,
    Terms,
    affordable,
    planned,
    rest_seconds,
    rung_seconds,
    winner_seconds,
)
from keras_ccsam.auto.pace import Pace
from keras_ccsam.auto.plan import AutoPlan, ask
from keras_ccsam.auto.shortened import shortened
from keras_ccsam.duration import duration

pytestmark = pytest.mark.any_backend

ALL = entrants(data="digits-lt")  # 40 epochs, 20 of a second stage, batches of 32


def terms(step=0.01, setup=0.0, slow=(), **changes):
    paces = {e.name: Pace(setup, step * (10 if e.name in slow else 1)) for e in ALL}
    return dataclasses.replace(Terms(paces, 320, 64, 1, True), **changes)


def named(*names):
    return [entrant for entrant in ALL if entrant.name in names]


def test_the_whole_schedule_where_there_is_time():
    ladder = planned(ALL, 1e9, terms())
    assert [(r.share, r.count, r.seeds) for r in ladder.rungs] == [
        (0.25, 8, 1), (0.5, 4, 1), (1.0, 2, 1),
    ]  # fmt: skip
    assert (ladder.share, ladder.left_out) == (1.0, ())
    # Twice the time changes nothing: the plan does not hang on the machine then.
    assert planned(ALL, 2e9, terms()) == ladder
    assert Ladder.from_dict(ladder.to_dict()) == ladder
    assert ladder.in_full == ladder.seconds


def test_a_short_budget_says_what_it_costs():
    asked = ask("digits-lt", budget="100h", recipes=("ce", "la"))
    ladder = planned(asked.entrants, 1e9, terms())
    assert AutoPlan(asked, ladder).short_text() == []
    short = planned(asked.entrants, 0.3 * ladder.seconds, terms())
    (line,) = AutoPlan(asked, short).short_text()
    assert line.startswith("note       the budget is short: ") and "of 40 epochs at most" in line
    assert short.in_full == ladder.in_full
    assert line.endswith(f"takes about {duration(ladder.in_full * SAFETY)}")


def test_what_is_planned_fits():
    whole = planned(ALL, 1e9, terms()).seconds * SAFETY
    shares = []
    for part in (1.0, 0.9, 0.7, 0.5, 0.4):
        ladder = planned(ALL, part * whole, terms())
        assert ladder.seconds * SAFETY <= part * whole
        shares.append(ladder.share)
        for before, after in itertools.pairwise(ladder.rungs):
            assert before.share < after.share and before.count > after.count
        assert ladder.rungs[-1].share == ladder.share
        assert min(r.share for r in ladder.rungs) * 40 >= 5
    assert shares == sorted(shares, reverse=True) and shares[0] == 1.0 and shares[-1] < 0.5


def test_a_first_stage_that_is_shared_is_paid_once():
    alone = rung_seconds(named("ce"), 1.0, 1, terms())
    # 40 epochs of 10 steps, and the judging of 64 of 32 images at 0.4 of a step.
    assert alone == pytest.approx(40 * (10 + 0.8) * 0.01)
    assert rung_seconds(named("ce", "la-posthoc"), 1.0, 1, terms()) == pytest.approx(alone)
    second = 20 * 10 * 0.01
    assert rung_seconds(named("ce", "crt"), 1.0, 1, terms()) == pytest.approx(alone + second)
    assert rung_seconds(named("ce", "crt"), 1.0, 3, terms()) == pytest.approx(3 * (alone + second))
    # The winner pays its own, and for the validation images.
    assert winner_seconds(named("crt"), 1.0, terms()) == pytest.approx(1.2 * (alone + second))
    kept = terms(refit=False)
    assert winner_seconds(named("crt"), 1.0, kept) == pytest.approx(1.2 * second)


def test_the_slowest_are_left_out_last_of_all():
    slow = terms(slow=("ccsam",))
    enough = planned(ALL, 1e9, slow).seconds
    ladder = planned(ALL, enough / 30, slow)
    assert ladder.left_out[0] == "ccsam"
    assert ladder.seconds * SAFETY <= enough / 30


def test_a_budget_for_nothing_says_what_would_do():
    with pytest.raises(
        ValueError, match=r"ce and ce-balanced alone need about (.*) with the.*budget=1 s"
    ):
        planned(ALL, 1.0, terms(step=1.0))
    needed = 30.0
    for _ in range(200):  # what it says is enough, and not by far
        try:
            planned(ALL, needed, terms(step=1.0))
        except ValueError:
            needed += 10.0
        else:
            break
    with pytest.raises(ValueError, match="alone need about") as error:
        planned(ALL, 1.0, terms(step=1.0))
    minutes = float(str(error.value).split("need about ")[1].split(" min")[0])
    assert abs(minutes * 60 - needed) <= 60


def test_one_recipe_has_no_rungs_and_two_have_one():
    assert planned(named("la"), 1e9, terms()).rungs == ()
    assert [r.count for r in planned(named("la", "ce"), 1e9, terms()).rungs] == [2]


def test_rungs_of_the_same_length_are_one():
    brief = [
        Entrant(recipes.override(entrant.recipe, "stage1.epochs=6"), entrant.words)
        for entrant in ALL
    ]
    rungs = planned(brief, 1e9, terms()).rungs
    assert [round(6 * r.share) for r in rungs] == [5, 6]
    assert [r.count for r in rungs] == [8, 2]


def test_the_last_rung_has_the_seeds():
    ladder = planned(ALL, 1e9, terms(seeds=3))
    assert [r.seeds for r in ladder.rungs] == [1, 1, 3]
    assert ladder.seconds > planned(ALL, 1e9, terms()).seconds


def test_what_is_left_can_be_paid_for():
    ladder = planned(ALL, 1e9, terms())
    two = named("la", "ccsam")
    rest = rest_seconds(two, ladder, 2, terms())
    assert rest == pytest.approx(
        rung_seconds(two, 1.0, 1, terms()) + winner_seconds(two, 1.0, terms())
    )
    assert rest_seconds(two, ladder, 3, terms()) == winner_seconds(two, 1.0, terms())
    full = winner_seconds(two, 1.0, terms())
    assert affordable(two, 0.25, 1.0, full, terms()) == 1.0
    half = affordable(two, 0.25, 1.0, full / 2, terms())
    assert 0.4 <= half <= 0.5
    assert affordable(two, 0.25, 1.0, 0.0, terms()) == 0.25


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
def test_a_shorter_recipe_keeps_its_order(name, share):
    recipe = next(e.recipe for e in ALL if e.name == name)
    brief = shortened(recipe, share)
    assert brief.stage1.epochs == round(40 * share)
    assert brief.stage1.warmup_epochs < max(2, brief.stage1.epochs)
    assert brief.stage1.boundaries == recipe.stage1.boundaries
    if recipe.stage2:
        assert brief.stage2.epochs == round(20 * share)
    changed = {"stage1.epochs", "stage1.warmup_epochs", "stage2.epochs"}
    same = recipes.override(
        brief,
        *(f"{key}={value}" for key, value in _flat(recipe.to_dict()).items() if key in changed),
    )
    assert same == recipe


def test_epochs_become_shares():
    recipe = recipes.load(
        "ldam-drw",
        overrides=(
            "stage1.epochs=200",
            "stage1.warmup_epochs=5",
            "stage1.boundaries=[160, 180, 300]",
            "stage1.reweight.start=160",
        ),
    )
    brief = shortened(recipe, 0.1)
    assert brief.stage1.boundary_epochs() == (16.0, 18.0)
    assert (brief.stage1.reweight.start, brief.stage1.warmup_epochs) == (16, 1)
    assert shortened(recipe, 1.0) is recipe


def _flat(values, prefix=""):
    flat = {}
    for key, value in values.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat
