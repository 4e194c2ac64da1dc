"""Weights & Biases. Its variables hold: WANDB_MODE=offline sends nothing, WANDB_PROJECT renames."""

import os
from collections.abc import Mapping

import wandb

from keras_ccsam.trackers.tracker import PROJECT, TrackedRun


class Run:
    """A run of W&B, whose files lie in the run directory.

    Args:
        run: what it is about.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=run.name,
            group=run.group or None,
            config=dict(run.config),
            dir=str(run.path),
            reinit="create_new",  # a run that the caller has open stays open
            settings=wandb.Settings(console="off"),
        )
        for stage in ("stage1", "stage2"):
            self._run.define_metric(f"{stage}/epoch")
            self._run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")

    def log(self, values: Mapping[str, float], epoch: int, total: int) -> None:
        """Log an epoch over its stage's epochs, results once and in the summary."""
        stages = {name.partition("/")[0] for name in values} & {"stage1", "stage2"}
        self._run.log({**values, **{f"{stage}/epoch": epoch for stage in stages}})

    def close(self, *, failed: bool) -> None:
        """End it."""
        self._run.finish(exit_code=int(failed))
