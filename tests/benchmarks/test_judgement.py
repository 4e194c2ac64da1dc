"""What `make bench-check` calls slower, on noise that is made here: nothing is timed."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.side_by_side import judgement
from benchmarks.side_by_side.judgement import (
    ALPHA,
    FAILED,
    NEW,
    NOT_SLOWER,
    SLOWER,
    UNDECIDED,
    Estimate,
    estimate,
    settled,
    verdict,
)

pytestmark = pytest.mark.any_backend

LINES = judgement.lines(0.10)
Noise = Callable[[np.random.Generator, int], np.ndarray]


def gauss(rng: np.random.Generator, rounds: int) -> np.ndarray:
    """A busy machine's processor time: 6 % from round to round."""
    return 0.06 * rng.normal(size=rounds)


def cauchy(rng: np.random.Generator, rounds: int) -> np.ndarray:
    """So heavy tails that a mean would say nothing."""
    return 0.03 * rng.standard_cauchy(rounds)


def bursts(rng: np.random.Generator, rounds: int) -> np.ndarray:
    """Another program halves the speed, for rounds on end, of one of the two turns."""
    busy = np.repeat(rng.random(rounds // 10 + 1) < 0.5, 10)[:rounds]
    return 0.03 * rng.normal(size=rounds) + busy * rng.choice([-0.7, 0.7], rounds) * (
        rng.random(rounds) < 0.3
    )


NOISES: list[Noise] = [gauss, cauchy, bursts]


def first_answer(ratios: np.ndarray) -> str:
    """The answer of a measurement that looks after each round, as the check does."""
    for rounds in range(13, len(ratios) + 1):
        own = estimate(list(ratios[:rounds]))
        if (found := verdict(own, own, LINES)) != UNDECIDED:
            return found
    return UNDECIDED


def answers(growth: float, noise: Noise, seed: int, times: int = 100) -> list[str]:
    """Of some measurements of one growth, each of at most 120 rounds."""
    rng = np.random.default_rng(seed)
    return [first_answer(growth * np.exp(noise(rng, 120))) for _ in range(times)]


def test_how_many_rounds_refute() -> None:
    assert [judgement.least_above(rounds) for rounds in (12, 13, 30, 100)] == [None, 13, 26, 71]


@pytest.mark.parametrize("probability", [0.3, 0.5])
def test_no_growth_up_to_the_line_is_called_slower_more_often_than_said(probability: float) -> None:
    """The whole game, exactly: the chance that a fair coin ever refutes, looked at each round."""
    reached, left = 0.0, {0: 1.0}
    for rounds in range(1, 301):
        least = judgement.least_above(rounds)
        after: dict[int, float] = {}
        for above, chance in left.items():
            after[above] = after.get(above, 0.0) + chance * (1 - probability)
            after[above + 1] = after.get(above + 1, 0.0) + chance * probability
        left = {above: c for above, c in after.items() if least is None or above < least}
        reached += sum(c for above, c in after.items() if above not in left)
    assert reached <= ALPHA
    if probability == 0.5:
        assert reached > ALPHA / 3  # and is not far below, which would cost rounds


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.__name__)
def test_equal_code_is_not_slower(noise: Noise) -> None:
    found = answers(1.0, noise, seed=1)
    assert SLOWER not in found
    assert found.count(NOT_SLOWER) >= 0.97 * len(found)


@pytest.mark.parametrize("noise", NOISES, ids=lambda noise: noise.__name__)
def test_ten_percent_are_found(noise: Noise) -> None:
    found = answers(1.10, noise, seed=2)
    assert NOT_SLOWER not in found
    assert found.count(SLOWER) >= 0.97 * len(found)


@pytest.mark.parametrize("difference", [0.98, 1.02])
def test_processes_of_one_code_may_differ(difference: float) -> None:
    """By 2 % and a noise of 3 %: equal code passes and 10 % are found, whichever way it goes."""
    quiet = lambda rng, rounds: 0.03 * rng.normal(size=rounds)  # noqa: E731
    assert set(answers(difference, quiet, seed=3)) <= {NOT_SLOWER, UNDECIDED}
    assert set(answers(1.10 * difference, quiet, seed=4)) <= {SLOWER, UNDECIDED}


def test_the_interval_lies_around_the_median() -> None:
    ratios = [1.0 + 0.01 * number for number in range(30)]
    found = estimate(ratios)
    assert found == Estimate(1.145, ratios[4], ratios[25])
    assert str(found) == "1.145 (1.040 to 1.250)"
    few = estimate(ratios[:12])
    assert (few.low, few.high) == (0.0, math.inf)


def around(ratio: float, width: float = 0.01) -> Estimate:
    return Estimate(ratio, ratio - width, ratio + width)


@pytest.mark.parametrize(
    ("processor", "clock", "up", "said"),
    [
        (around(1.0), around(1.0), False, NOT_SLOWER),
        (around(1.1), around(1.1), False, SLOWER),
        (around(1.1), around(1.0), False, SLOWER),  # a thread beside the one that is waited for
        (around(1.0), around(1.1), False, SLOWER),  # waiting
        (around(1.0), around(1.0, 0.5), False, NOT_SLOWER),  # the clock is disturbed
        (around(1.0), around(1.2, 0.5), False, UNDECIDED),  # it may be waiting
        (around(1.0), around(1.2, 0.5), True, NOT_SLOWER),
        (around(1.05), around(1.05), False, SLOWER),  # half of the tolerance: either may come first
        (around(1.05, 0.02), around(1.0), False, SLOWER),
        (around(1.03, 0.02), around(1.0), False, NOT_SLOWER),
        (around(1.04, 0.1), around(1.0), False, UNDECIDED),
        (around(1.04, 0.1), around(1.0), True, UNDECIDED),
        (None, around(1.0), False, NOT_SLOWER),  # a GPU
        (None, around(1.1), False, SLOWER),
        (None, around(1.04, 0.1), True, UNDECIDED),
    ],
)
def test_both_measures_are_heard(
    processor: Estimate | None, clock: Estimate, up: bool, said: str
) -> None:
    assert verdict(processor, clock, LINES, up) == said


@pytest.mark.parametrize(
    ("verdicts", "together"),
    [
        ([], None),
        ([SLOWER], None),
        ([SLOWER, SLOWER], SLOWER),
        ([SLOWER, NOT_SLOWER], NOT_SLOWER),
        ([SLOWER, UNDECIDED], UNDECIDED),
        ([UNDECIDED], UNDECIDED),
        ([NOT_SLOWER], NOT_SLOWER),
        ([NEW], NEW),
        ([SLOWER, FAILED], FAILED),
    ],
)
def test_two_measurements_together(verdicts: list[str], together: str | None) -> None:
    assert settled(verdicts) == together
