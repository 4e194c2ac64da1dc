"""How far one can walk, and how lopsided a valley is, where both are known."""

import numpy as np
import pytest

from keras_ccsam.analysis.landscapes import valley

pytestmark = pytest.mark.any_backend

STEPS = np.linspace(-1.0, 1.0, 2001)


def test_reach_of_a_parabola():
    # 1 + t^2 doubles at 1, 1 + 4 t^2 at 1/2; the grid is fine enough for straight lines.
    lines = [valley.Line(STEPS, 1 + STEPS**2), valley.Line(2 * STEPS, 1 + 4 * STEPS**2)]
    found = valley.reach(lines[1:], 2.0)
    # In the distance of the line, which is twice the step here.
    assert (found.mean, found.min, found.max) == pytest.approx((1.0, 1.0, 1.0))
    assert (found.rays, found.open) == (2, 0)
    assert valley.reach(lines[:1], 1.25).mean == pytest.approx(0.5, abs=1e-6)


def test_sides_count_by_themselves():
    loss = np.where(STEPS > 0, 1 + 100 * STEPS**2, 1 + STEPS**2 / 2)
    found = valley.reach([valley.Line(STEPS, loss)], 2.0)
    assert found.min == pytest.approx(0.1, abs=1e-3)
    assert (found.max, found.open) == (1.0, 1)  # ends before: at least so far


def test_between_two_points_the_loss_is_straight():
    line = valley.Line(np.array([-1.0, 0.0, 1.0]), np.array([np.inf, 1.0, 5.0]))
    found = valley.reach([line], 2.0)
    assert found.max == pytest.approx(0.25)
    assert found.min == 0.0  # an overflow is taken to come at once


def test_a_loss_that_is_no_number_is_over_the_edge():
    line = valley.Line(np.array([-2.0, -1.0, 0.0, 1.0, 2.0]), np.array([1, 1, 1, 1, np.nan]))
    found = valley.reach([line], 2.0)
    assert (found.min, found.max, found.open) == (1.0, 2.0, 1)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (1 + STEPS**2, 0.0),
        (np.where(STEPS > 0, 1 + STEPS, 1.0), 1.0),
        # Slopes 3 and 1: (3 - 1) / (3 + 1), and the ratio of the rises is 3.
        (np.where(STEPS > 0, 3 * STEPS, -STEPS), 0.5),
        (STEPS, 1.0),
        (np.ones_like(STEPS), 0.0),
        (np.where(STEPS > 0.5, np.nan, 1.0), 1.0),
        (np.where(abs(STEPS) > 0.5, np.inf, 1.0), 0.0),
    ],
)
def test_asymmetry(loss, expected):
    found = valley.asymmetry([valley.Line(STEPS, loss), valley.Line(STEPS, loss[::-1])])
    assert (found.mean, found.min, found.max) == pytest.approx((expected,) * 3, abs=1e-9)
    assert found.lines == 2


def test_a_plane_has_two_axes_and_two_diagonals():
    steps = np.linspace(-1, 1, 5)
    a, b = np.meshgrid(steps, steps, indexing="ij")
    gram = np.array([[1.0, 0.25], [0.25, 4.0]])
    lines = valley.lines_of(100 * a + b, (steps, steps), gram)
    ends = [line.distance[-1] for line in lines]
    assert ends == pytest.approx([1.0, 2.0, np.sqrt(5.5), np.sqrt(4.5)])
    assert [line.distance[0] for line in lines] == pytest.approx([-end for end in ends])
    losses = [line.loss[-1] for line in lines]
    assert losses == pytest.approx([100.0, 1.0, 101.0, 99.0])
    rows = valley.lines_of(np.arange(10.0).reshape(2, 5), (steps,), np.diag([1.0, 9.0]))
    assert [line.distance[-1] for line in rows] == pytest.approx([1.0, 3.0])
