"""What the appendix says in words: holds, does not hold, or undecided."""

import math

import pytest

from keras_ccsam.recipes.tables import Claim
from keras_ccsam.reproduction import claims

pytestmark = pytest.mark.any_backend


def claim(expected="lower", groups=("head",)):
    return Claim(text="flat", row="A", than="B", measure="near", expected=expected, groups=groups)


def measured(*values):
    return [{"head": {"near": v}, "tail": {"near": -v}} for v in values]


def judged(own, other, **options):
    found = claims.judge([claim(**options)], {"A": measured(*own), "B": measured(*other)})
    return [verdict.word for verdict in found]


def test_a_difference_beyond_its_spread_decides():
    assert judged((1.0, 1.1, 0.9), (2.0, 2.1, 2.1)) == [claims.HOLDS]
    assert judged((1.0, 1.1, 0.9), (2.0, 2.1, 2.1), expected="higher") == [claims.FAILS]
    assert judged((2.0, 2.1, 2.1), (1.0, 1.1, 0.9)) == [claims.FAILS]


def test_each_group_is_judged_by_itself():
    assert judged((1.0, 1.1, 0.9), (2.0, 2.1, 2.1), groups=("head", "tail")) == [
        claims.HOLDS,
        claims.FAILS,
    ]


def test_a_difference_within_its_spread_is_undecided():
    assert judged((1.0, 3.0, 0.9), (2.0, 2.1, 2.1)) == [claims.OPEN]


def test_one_seed_decides_nothing():
    assert judged((1.0,), (9.0,)) == [claims.OPEN]
    (verdict,) = claims.judge([claim()], {"A": measured(1.0), "B": measured(9.0)})
    assert verdict.to_dict()["interval"] == [None, None]
    assert claims.cells([verdict])[1][0][-2:] == ["-", claims.OPEN]


def test_the_interval_is_students_of_the_paired_differences():
    (verdict,) = claims.judge([claim()], {"A": measured(1.0, 2.0, 4.0), "B": measured(0, 0, 0)})
    # mean 7/3, standard error sqrt(7/3)/sqrt(3), t(0.975, 2) = 4.302653
    assert verdict.interval == pytest.approx(
        (7 / 3 - 4.302653 * math.sqrt(7) / 3, 7 / 3 + 4.302653 * math.sqrt(7) / 3), abs=1e-5
    )


def test_seeds_are_paired():
    # The seeds differ by far more than the rows, which differ alike in each.
    own, other = (1.0, 5.0, 9.0), (2.0, 6.1, 10.1)
    assert judged(own, other) == [claims.HOLDS]
    assert judged(own, other[::-1]) == [claims.OPEN]


def test_a_row_that_was_not_trained_is_left_out():
    assert claims.judge([claim()], {"A": measured(1.0)}) == ()


def test_an_infinite_landscape_decides_nothing():
    assert judged((math.inf, math.inf), (1.0, math.inf)) == [claims.OPEN]
