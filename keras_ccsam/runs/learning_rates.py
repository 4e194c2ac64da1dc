"""From a recipe's stages to their learning-rate schedules."""

from typing import Any, TypeAlias

from keras_ccsam import schedules
from keras_ccsam.recipes.schema_stages import Average, Stage1, Stage2
from keras_ccsam.schedules.start import first_epoch

Schedule: TypeAlias = Any  # a keras.optimizers.schedules.LearningRateSchedule


def stage1_rate(stage: Stage1, steps: int) -> Schedule:
    """Return the schedule of stage 1, for so many steps per epoch.

    The warm-up rises once per epoch, as in the torch codebases. A boundary inside the warm-up takes
    effect at its end. Where weights are averaged, the rate is constant from there on.
    """
    warmup, start = stage.warmup_epochs * steps, stage.warmup_start * stage.lr
    if stage.decay == "cosine":
        schedule = schedules.WarmupCosine(
            stage.lr, warmup, stage.epochs * steps, start=start, interval=steps
        )
        return _averaged(schedule, stage.average, stage.epochs, steps)
    boundaries: list[int] = []
    for epoch in stage.boundary_epochs():
        least = boundaries[-1] + 1 if boundaries else max(warmup, 1)
        boundaries.append(max(round(epoch * steps), least))
    stepped = schedules.WarmupSteps(
        stage.lr, warmup, boundaries, stage.factor, start=start, interval=steps
    )
    return _averaged(stepped, stage.average, stage.epochs, steps)


def stage2_rate(stage: Stage2, steps: int) -> Schedule | float:
    """Return the rate of stage 2: a number where it is constant."""
    if stage.decay == "cosine":
        schedule = schedules.WarmupCosine(stage.lr, 0, stage.epochs * steps, interval=steps)
        return _averaged(schedule, stage.average, stage.epochs, steps)
    if stage.average is None:
        return stage.lr
    constant = schedules.WarmupSteps(stage.lr, 0, (), 1.0, interval=steps)
    return _averaged(constant, stage.average, stage.epochs, steps)


def _averaged(schedule: Schedule, average: Average | None, epochs: int, steps: int) -> Schedule:
    if average is None:
        return schedule
    return schedules.ConstantTail(schedule, first_epoch(average.start, epochs) * steps, average.lr)
