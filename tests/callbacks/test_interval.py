"""How often a state is saved does not hang on the clock on the wall."""

import time

import pytest

from keras_ccsam.resuming.interval import Interval

pytestmark = pytest.mark.any_backend


def test_a_clock_that_jumps_neither_saves_nor_forgets_to(monkeypatch):
    passed, wall = [100.0], [1e9]
    monkeypatch.setattr(time, "monotonic", lambda: passed[0])
    monkeypatch.setattr(time, "time", lambda: wall[0])
    interval = Interval("5 min")
    wall[0] += 86_400
    assert not interval.is_over
    wall[0], passed[0] = 0.0, passed[0] + 300
    assert interval.is_over
    interval.restart()
    assert not interval.is_over
