"""Schedules against the learning rates of released codebases."""

import keras
import numpy as np
import pytest

from keras_ccsam.schedules import WarmupCosine, WarmupSteps

STEPS = 97  # of an epoch


def rates(schedule, epochs, within=0):
    return [float(keras.ops.convert_to_numpy(schedule(e * STEPS + within))) for e in epochs]


LDAM = WarmupSteps.from_epochs(STEPS, peak=0.1, warmup=5, boundaries=(160, 180), factor=0.01)
CCSAM = WarmupSteps.from_epochs(
    STEPS, peak=0.1, warmup=5, boundaries=(159, 179), factor=0.1, start=0.1 / 3
)
GCL = WarmupCosine.from_epochs(STEPS, peak=0.002, epochs=30)


@pytest.mark.parametrize("within", [0, STEPS - 1])
@pytest.mark.parametrize(
    ("schedule", "epochs", "expected"),
    [
        (LDAM, (0, 4, 159, 160, 180), (0.02, 0.1, 0.1, 0.001, 0.00001)),
        (CCSAM, (0, 4, 158, 159, 179), (0.046667, 0.1, 0.1, 0.01, 0.001)),
        (GCL, (0, 15, 30, 31), (0.002, 0.001, 0.0, 0.0)),
    ],
)
def test_published_rates_hold_through_each_epoch(schedule, epochs, expected, within):
    np.testing.assert_allclose(rates(schedule, epochs, within), expected, rtol=1e-5, atol=1e-9)


def test_plateaus_are_exact():
    assert rates(LDAM, (5, 100, 159), STEPS - 1) == [float(np.float32(0.1))] * 3
    assert rates(LDAM, (160, 179)) == [float(np.float32(0.001))] * 2


def test_warm_up_at_every_step():
    schedule = WarmupSteps(1.0, 4, [6, 8], 0.5, start=0.2)
    actual = [float(keras.ops.convert_to_numpy(schedule(s))) for s in range(10)]
    expected = [0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 0.5, 0.5, 0.25, 0.25]
    np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_interval_that_does_not_divide_the_warm_up():
    schedule = WarmupSteps(1.0, 5, [], 0.5, interval=2)
    actual = [float(keras.ops.convert_to_numpy(schedule(s))) for s in range(7)]
    np.testing.assert_allclose(actual, [0.4, 0.4, 0.8, 0.8, 1.0, 1.0, 1.0], rtol=1e-6)


def test_cosine_with_warm_up():
    schedule = WarmupCosine(1.0, 2, 6, end=0.2)
    actual = [float(keras.ops.convert_to_numpy(schedule(s))) for s in range(8)]
    cosine = [0.2 + 0.8 * (1 + np.cos(np.pi * t / 4)) / 2 for t in (0, 1, 2, 3, 4, 4)]
    np.testing.assert_allclose(actual, [0.5, 1.0, *cosine], rtol=1e-6)


def test_boundaries_beyond_float32_integers():
    edge = 2**24 + 1
    schedule = WarmupSteps(1.0, 0, [edge], 0.1)
    steps = np.array([edge - 1, edge], dtype="int64")
    before, after = (float(keras.ops.convert_to_numpy(schedule(s))) for s in steps)
    assert (before, after) == (1.0, pytest.approx(0.1))


def test_constant_without_warm_up_or_boundaries():
    schedule = WarmupSteps(0.3, 0, [], 0.1)
    assert float(keras.ops.convert_to_numpy(schedule(123))) == pytest.approx(0.3)


@pytest.mark.parametrize("schedule", [LDAM, CCSAM, GCL, WarmupCosine(0.1, 3, 9, 0.01, 0.02, 2)])
def test_round_trip(schedule):
    stored = keras.saving.serialize_keras_object(schedule)
    copy = keras.saving.deserialize_keras_object(stored)
    assert type(copy) is type(schedule)
    assert copy.get_config() == schedule.get_config()
    assert rates(copy, (0, 3, 160)) == rates(schedule, (0, 3, 160))


def test_inside_a_compiled_step_and_a_saved_model(tmp_path):
    schedule = WarmupSteps(1.0, 2, [4], 0.5)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.compile(keras.optimizers.SGD(schedule), "mean_absolute_error")
    kernel = model.layers[0].kernel
    kernel.assign([[100.0]])
    x, y = np.ones((1, 1), "float32"), np.zeros((1, 1), "float32")
    moves = []
    for step in range(6):
        if step == 3:
            model.save(tmp_path / "model.keras")
            model = keras.models.load_model(tmp_path / "model.keras")
            kernel = model.layers[0].kernel
        before = float(keras.ops.convert_to_numpy(kernel)[0, 0])
        model.fit(x, y, verbose=0)
        moves.append(before - float(keras.ops.convert_to_numpy(kernel)[0, 0]))
    # the gradient of |w| is 1, so a move is the rate
    np.testing.assert_allclose(moves, [0.5, 1.0, 1.0, 1.0, 0.5, 0.5], atol=1e-5)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: WarmupSteps(-0.1, 0, [], 0.1), "peak=-0.1"),
        (lambda: WarmupSteps(0.1, 1.5, [], 0.1), "warmup_steps=1.5"),
        (lambda: WarmupSteps(0.1, 0, [5, 5], 0.1), r"boundaries=\[5, 5\]"),
        (lambda: WarmupSteps(0.1, 9, [5], 0.1), r"boundaries=\[5\]"),
        (lambda: WarmupSteps(0.1, 0, [5], float("nan")), "factor=nan"),
        (lambda: WarmupSteps(0.1, 0, [], 0.1, interval=0), "interval=0"),
        (lambda: WarmupCosine(0.1, 5, 5), "total_steps=5"),
        (lambda: WarmupCosine(0.1, 0, 5, end=-1), "end=-1"),
        (lambda: WarmupCosine.from_epochs(0, peak=0.1, epochs=3), "steps_per_epoch=0"),
    ],
)
def test_bad_arguments_are_named(make, named):
    with pytest.raises(ValueError, match=f"Received: .*{named}"):
        make()
