"""Linear warm-up, then steps or a cosine.

With s the optimizer's step (0 at the first update), I the `interval`, W the warm-up, both in steps,
and p = min((floor(s / I) + 1) I / W, 1):

    lr(s) = (1 - p) start + p peak                                         while p < 1
    WarmupSteps:   lr(s) = peak factor^(number of boundaries <= s)         afterwards
    WarmupCosine:  lr(s) = end + (peak - end) cos^2(pi t / 2),  t = (I floor(s / I) - W) / (T - W)

The rate changes every `interval` steps. One epoch is what the torch codebases do (they set the rate
at the start of each epoch), and what `from_epochs` sets; 1 changes it at every step. The first
update is never made with rate `start` itself, and the last of the warm-up is made with `peak`.

The rates of released codebases, with S steps per epoch: LDAM-DRW is
`WarmupSteps.from_epochs(S, peak=0.1, warmup=5, boundaries=(160, 180), factor=0.01)`; CC-SAM's
stage 1 is `WarmupSteps.from_epochs(S, peak=0.1, warmup=5, boundaries=(159, 179), factor=0.1,
start=0.1 / 3)`; GCL's stage 2 is `WarmupCosine.from_epochs(S, peak=0.002, epochs=30)`.

Steps are compared as integers and every rate of `WarmupSteps` after the warm-up is a constant, so
neither a boundary nor a plateau depends on rounding.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_ccsam.schedules.rates import rate_dtype, whole
from keras_ccsam.typing import Tensor


class _Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """The warm-up that both schedules begin with."""

    def __init__(
        self, peak: float, warmup_steps: int, start: float, interval: int, name: str
    ) -> None:
        super().__init__()
        for key, rate in (("peak", peak), ("start", start)):
            if not (math.isfinite(rate) and rate >= 0):
                raise ValueError(f"`{key}` must be a rate of at least 0. Received: {key}={rate}")
        self.peak = float(peak)
        self.start = float(start)
        self.warmup_steps = whole("warmup_steps", warmup_steps, least=0)
        self.interval = whole("interval", interval, least=1)
        self.name = name

    def __call__(self, step: Tensor) -> Tensor:
        step = ops.cast(step, "int32")
        held = ops.floor_divide(step, self.interval) * self.interval
        after = self._after_warmup(step, held)
        if not self.warmup_steps:
            return after
        progress = ops.cast(held + self.interval, rate_dtype()) / self.warmup_steps
        warming = (1.0 - progress) * self.start + progress * self.peak
        return ops.where(held + self.interval < self.warmup_steps, warming, after)

    def _after_warmup(self, step: Tensor, held: Tensor) -> Tensor:
        """The rate after the warm-up; `held` is `step` rounded down to the interval."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "warmup_steps": self.warmup_steps,
            "start": self.start,
            "interval": self.interval,
            "name": self.name,
        }


@keras.saving.register_keras_serializable(package="keras_ccsam")
class WarmupSteps(_Warmup):
    """Linear warm-up to `peak`, then `factor` times the rate at each boundary.

    Args:
        peak: Rate after the warm-up.
        warmup_steps: Steps of the warm-up, W above. 0 starts at `peak`.
        boundaries: Steps from which on the rate is multiplied once more, increasing, none of them
            inside the warm-up.
        factor: What the rate is multiplied with at each boundary.
        start: Rate that the warm-up departs from.
        interval: The warm-up's rate changes every so many steps.
        name: Name of the schedule.

    Raises:
        ValueError: A negative or infinite rate, a step that is not a whole number, or boundaries
            that do not increase or lie inside the warm-up.
    """

    def __init__(
        self,
        peak: float,
        warmup_steps: int,
        boundaries: Sequence[int],
        factor: float,
        start: float = 0.0,
        interval: int = 1,
        name: str = "warmup_steps",
    ) -> None:
        super().__init__(peak, warmup_steps, start, interval, name)
        self.boundaries = [whole("boundaries", value, least=1) for value in boundaries]
        if any(b <= a for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"`boundaries` must increase. Received: boundaries={boundaries}")
        if self.boundaries and self.boundaries[0] < self.warmup_steps:
            raise ValueError(
                f"`boundaries` must not lie inside the warm-up of {self.warmup_steps} steps. "
                f"Received: boundaries={boundaries}"
            )
        if not (math.isfinite(factor) and factor >= 0):
            raise ValueError(f"`factor` must be a number of at least 0. Received: factor={factor}")
        self.factor = float(factor)

    @classmethod
    def from_epochs(
        cls,
        steps_per_epoch: int,
        *,
        peak: float,
        warmup: float,
        boundaries: Sequence[float],
        factor: float,
        start: float = 0.0,
        per_epoch: bool = True,
    ) -> Self:
        """The schedule with its times in epochs (counted from 0: 160 is the 161st).

        Args:
            steps_per_epoch: Updates of an epoch.
            peak: Rate after the warm-up.
            warmup: Epochs of warm-up.
            boundaries: Epochs from which on the rate is multiplied once more.
            factor: What it is multiplied with; LDAM-DRW's is 0.01.
            start: Rate that the warm-up departs from.
            per_epoch: Change the rate once per epoch, as torch codebases do, or at every step.
        """
        steps = whole("steps_per_epoch", steps_per_epoch, least=1)
        return cls(
            peak,
            round(warmup * steps),
            [round(value * steps) for value in boundaries],
            factor,
            start=start,
            interval=steps if per_epoch else 1,
        )

    def _after_warmup(self, step: Tensor, held: Tensor) -> Tensor:
        rates = [self.peak * self.factor**n for n in range(len(self.boundaries) + 1)]
        rate = ops.convert_to_tensor(rates[0], rate_dtype())
        for boundary, value in zip(self.boundaries, rates[1:], strict=True):
            rate = ops.where(step >= boundary, ops.convert_to_tensor(value, rate_dtype()), rate)
        return rate

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "boundaries": self.boundaries, "factor": self.factor}


@keras.saving.register_keras_serializable(package="keras_ccsam")
class WarmupCosine(_Warmup):
    """Linear warm-up to `peak`, then half a cosine down to `end`, which then stays.

    Args:
        peak: Rate after the warm-up.
        warmup_steps: Steps of the warm-up, W above. 0 starts at `peak`.
        total_steps: Step at which `end` is reached, T above (warm-up included).
        end: Last rate.
        start: Rate that the warm-up departs from.
        interval: The rate changes every so many steps.
        name: Name of the schedule.

    Raises:
        ValueError: A negative or infinite rate, a step that is not a whole number, or fewer steps
            in total than in the warm-up.
    """

    def __init__(
        self,
        peak: float,
        warmup_steps: int,
        total_steps: int,
        end: float = 0.0,
        start: float = 0.0,
        interval: int = 1,
        name: str = "warmup_cosine",
    ) -> None:
        super().__init__(peak, warmup_steps, start, interval, name)
        self.total_steps = whole("total_steps", total_steps, least=1)
        if self.total_steps <= self.warmup_steps:
            raise ValueError(
                f"`total_steps` must be more than the warm-up's {self.warmup_steps} steps. "
                f"Received: total_steps={total_steps}"
            )
        if not (math.isfinite(end) and end >= 0):
            raise ValueError(f"`end` must be a rate of at least 0. Received: end={end}")
        self.end = float(end)

    @classmethod
    def from_epochs(
        cls,
        steps_per_epoch: int,
        *,
        peak: float,
        epochs: float,
        warmup: float = 0,
        end: float = 0.0,
        start: float = 0.0,
        per_epoch: bool = True,
    ) -> Self:
        """The schedule with its times in epochs.

        Args:
            steps_per_epoch: Updates of an epoch.
            peak: Rate after the warm-up.
            epochs: Epochs in total, warm-up included.
            warmup: Epochs of warm-up.
            end: Rate after `epochs`.
            start: Rate that the warm-up departs from.
            per_epoch: Change the rate once per epoch, as torch codebases do, or at every step.
        """
        steps = whole("steps_per_epoch", steps_per_epoch, least=1)
        return cls(
            peak,
            round(warmup * steps),
            round(epochs * steps),
            end=end,
            start=start,
            interval=steps if per_epoch else 1,
        )

    def _after_warmup(self, step: Tensor, held: Tensor) -> Tensor:
        length = self.total_steps - self.warmup_steps
        passed = ops.cast(ops.clip(held - self.warmup_steps, 0, length), rate_dtype())
        # cos^2 keeps its relative precision near the end, where (1 + cos) / 2 cancels.
        share = ops.square(ops.cos(passed / length * (math.pi / 2)))
        return self.end + (self.peak - self.end) * share

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "total_steps": self.total_steps, "end": self.end}
