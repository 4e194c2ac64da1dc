"""The recipe `best` is the one that the rule of docs/study.md names, and no test number is read."""

import json
import tomllib
from pathlib import Path

import pytest

from keras_ccsam import recipes
from studies import analyse, choice, question

pytestmark = pytest.mark.any_backend

# Held-out points at the digits and on CIFAR; every other recipe has 50 and 30.
WEAK = (50.0, 30.0)
SHIFTS = (-1.0, 0.0, 1.0)


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The results of `best`: three draws of each place, with the scores of some recipes given."""
    monkeypatch.setattr(analyse, "RESULTS", tmp_path)

    def write(known, draws=3, own_shifts=None):
        rows = []
        for place, grid in enumerate(question.load("best").grids):
            for row in grid.rows:
                shifts = (own_shifts or {}).get(row.label, SHIFTS)
                for draw, shift in list(zip(grid.draws, shifts, strict=False))[:draws]:
                    value = (known.get(row.label, WEAK)[place] + shift) / 100
                    where = {"place": grid.place, "setting": grid.setting, "ratio": 50 + 50 * place}
                    held = {"balanced": value}
                    rows.append(
                        where | {"draw": draw, "row": row.label, "validation": held} | {"test": 0}
                    )
        (tmp_path / "best-here.json").write_text(json.dumps({"rows": rows}))

    return write


def test_the_mean_of_the_two_places_decides(results):
    # gcl is first on the digits and wb on CIFAR; neither is first in the mean.
    results({"gcl": (60, 20), "wb": (45, 41), "la": (55, 38), "vs": (55, 36)})
    rows = choice.standings()
    assert [row.recipe for row in rows[:3]] == ["la", "vs", "wb"]
    assert rows[0].mean == pytest.approx(46.5) and rows[0].at("digits") == pytest.approx(55)


def test_the_margin_is_paired_by_draw(results):
    # Ahead by 1, 2 and 3 points on CIFAR: mean 2, standard deviation 1, t(2 degrees) = 4.3027.
    results({"la": (55, 38), "vs": (55, 36)}, own_shifts={"la": (-2.0, 0.0, 2.0)})
    first, second, *_ = choice.candidates(choice.standings())
    mean, interval = first.ahead(second, "cifar-fifth")
    spread = 4.3027 / 3**0.5
    assert mean == pytest.approx(2)
    assert interval == pytest.approx((2 - spread, 2 + spread), abs=1e-3)


def test_a_margin_whose_interval_holds_0_at_one_place_tells_nothing(results):
    results({"la": (60, 40), "vs": (59, 38)})
    assert not choice.is_one_of_several(choice.standings())
    results({"la": (60, 40), "vs": (59, 38)}, own_shifts={"vs": (3.0, -3.0, 0.0)})
    assert choice.is_one_of_several(choice.standings())
    results({"la": (60, 40), "vs": (60, 38)})  # the digits do not tell them apart
    assert choice.is_one_of_several(choice.standings())


def test_cross_entropy_is_no_candidate(results):
    results({"ce": (70, 50), "la": (60, 40)})
    rows = choice.standings()
    assert rows[0].recipe == "ce" and choice.candidates(rows)[0].recipe == "la"
    asked = [row.label for row in question.load("best").grids[0].rows if row.against]
    assert sorted(row.recipe for row in choice.candidates(rows)) == sorted(asked)


def test_of_fewer_than_three_draws_none_is_chosen(results):
    assert choice.table() == "Not run."
    results({"la": (60, 40)}, draws=2)
    assert choice.standings() == [] and choice.table() == "Not run."


def test_the_table_says_how_far_the_others_are(results):
    results({"la": (60, 40), "vs": (59, 38)})
    lines = choice.table().splitlines()
    assert lines[2] == "| `la` | 60.00 | 40.00 | 50.00 |  |  |"
    assert lines[3] == (
        "| `vs` | 59.00 | 38.00 | 48.50 | -1.00 (-1.00 to -1.00) | -2.00 (-2.00 to -2.00) |"
    )


def test_the_recipe_best_is_what_was_chosen():
    """By the results in the repository; what it says of its margin is what they say."""
    rows = choice.standings()
    first, second, *_ = choice.candidates(rows)
    file = Path(recipes.__file__).parent / "methods" / "best.toml"
    own = tomllib.loads(file.read_text(encoding="utf-8"))
    assert own["base"] == first.recipe
    assert set(own) == {"base", "description", "variant", "source", "note"}  # it changes nothing
    assert f"{first.mean - second.mean:.2f} points before {second.recipe}" in own["note"]
    assert choice.is_one_of_several(rows) == ("one of several" in own["description"])
    alike = [
        row.recipe
        for row in choice.candidates(rows)[1:]
        if all(row.ahead(first, at)[1][0] <= 0 <= row.ahead(first, at)[1][1] for at in row.scores)
    ]
    assert f"{', '.join(alike[:-1])} and {alike[-1]} are not told from it" in own["note"]


@pytest.mark.parametrize("data", recipes.settings())
def test_best_trains_what_its_base_trains(data):
    said = ("name", "description", "variant", "source", "readings", "differs", "note")
    best, base = (recipes.load(name, data).to_dict() for name in ("best", "mislas"))
    assert {k: v for k, v in best.items() if k not in said} == {
        k: v for k, v in base.items() if k not in said
    }
