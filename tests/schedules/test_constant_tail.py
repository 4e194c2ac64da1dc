"""The constant tail of a schedule."""

import keras
import numpy as np
import pytest

from keras_ccsam.schedules import ConstantTail, WarmupSteps

DECAY = WarmupSteps(0.4, 2, [4, 6], 0.1)


def rates(schedule, steps):
    return [float(keras.ops.convert_to_numpy(schedule(s))) for s in range(steps)]


def test_follows_the_schedule_and_then_stays():
    schedule = ConstantTail(DECAY, start_step=5, value=0.05)
    np.testing.assert_allclose(rates(schedule, 8), [0.2, 0.4, 0.4, 0.4, 0.04, 0.05, 0.05, 0.05])
    assert rates(schedule, 5) == rates(DECAY, 5)


def test_an_optimizer_uses_and_saves_it():
    optimizer = keras.optimizers.SGD(ConstantTail(DECAY, start_step=1, value=0.25))
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    variable = keras.Variable([0.0], dtype="float32")
    again.build([variable])
    moved = []
    for _ in range(3):
        before = keras.ops.convert_to_numpy(variable.value).copy()
        again.apply([keras.ops.ones(1)])
        moved.append(float((before - keras.ops.convert_to_numpy(variable.value))[0]))
    np.testing.assert_allclose(moved, [0.2, 0.25, 0.25], rtol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"schedule": 0.1}, "schedule=0.1"),
        ({"start_step": -1}, "start_step=-1"),
        ({"start_step": 1.5}, "start_step=1.5"),
        ({"value": -0.1}, "value=-0.1"),
        ({"value": float("nan")}, "value=nan"),
    ],
)
def test_bad_settings(changed, message):
    with pytest.raises(ValueError, match=message):
        ConstantTail(**{"schedule": DECAY, "start_step": 5, "value": 0.05, **changed})
