"""Another schedule up to a step, and a constant from there on.

    lr(s) = schedule(s)   while s < start_step
    lr(s) = value         afterwards

Stochastic weight averaging keeps a high constant rate while it averages: a schedule that has
decayed to 1e-5 by then would average copies of one point.

References:
    Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization, UAI 2018.
"""

import math
from typing import Any

import keras
from keras import ops

from keras_ccsam.schedules.rates import rate_dtype, whole
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class ConstantTail(keras.optimizers.schedules.LearningRateSchedule):
    """Follows `schedule` before `start_step`, and is `value` from it on.

    Args:
        schedule: The schedule of the first steps.
        start_step: Step, counted from 0, of the first update made with `value`.
        value: Rate of the tail. CC-SAM's appendix has "a high constant" for the last quarter of
            the epochs and no number; 0.05 is half the peak of its recipes.
        name: Name of the schedule.

    Raises:
        ValueError: A `schedule` that is none, a step that is not a whole number, or a negative or
            infinite rate.
    """

    def __init__(
        self,
        schedule: keras.optimizers.schedules.LearningRateSchedule,
        start_step: int,
        value: float,
        name: str = "constant_tail",
    ) -> None:
        super().__init__()
        if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
            raise ValueError(
                "`schedule` must be a keras.optimizers.schedules.LearningRateSchedule. "
                f"Received: schedule={schedule!r}"
            )
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"`value` must be a rate of at least 0. Received: value={value}")
        self.schedule = schedule
        self.start_step = whole("start_step", start_step, least=0)
        self.value = float(value)
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        before = ops.cast(self.schedule(step), rate_dtype())
        tail = ops.convert_to_tensor(self.value, rate_dtype())
        return ops.where(ops.cast(step, "int32") < self.start_step, before, tail)

    def get_config(self) -> dict[str, Any]:
        return {
            "schedule": keras.saving.serialize_keras_object(self.schedule),
            "start_step": self.start_step,
            "value": self.value,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "ConstantTail":
        """The schedule of its configuration."""
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(**{**config, "schedule": schedule})
