"""A run that several processes train, stopped in the middle or gone on with."""

from pathlib import Path
from typing import Any

import numpy as np

import keras_ccsam as cc
from keras_ccsam import backend, processes, runs, stopping
from keras_ccsam.callbacks import MetricsLog
from keras_ccsam.runs.workplace import origin

RECIPE = (
    "model.backbone.width=2",
    "model.backbone.features=6",
    "stage1.epochs=2",
    "stage1.batch_size=24",
    "stage2.epochs=1",
    "data.imbalance_ratio=4",
    "data.validation_fraction=0.1",
)


def recipe(name: str = "ccsam") -> Any:
    known = cc.recipes.load(name)
    parts = [o for o in RECIPE if known.stage2 is not None or not o.startswith("stage2")]
    return cc.recipes.load(name, overrides=parts)


def stop_at(step: int, process: int = 0) -> Any:
    """What stands in for a callback of the run's, so that a signal comes to one process alone."""
    left = [step]

    def on_train_batch_begin(self: Any, batch: int, logs: Any = None) -> None:
        left[0] -= 1
        if left[0] == 0 and backend.process_index() == process:
            stopping._asked = "SIGTERM"

    return on_train_batch_begin


def weights(run: Path) -> list[np.ndarray]:
    """Of the network that a run left."""
    return runs.RunDirectory(run).model().get_weights()


def main(action: str, out: str) -> None:
    assert backend.join_processes()
    if action == "stop":
        MetricsLog.on_train_batch_begin = stop_at(12, process=1)
        try:
            # One process shows the run, the other does not, and whoever goes on need not.
            runs.run(recipe(), out, progress="line")
        except stopping.Stopped as stopped:
            assert origin(Path(stopped.run)) == Path(out), stopped.run
        else:
            raise AssertionError("it was not stopped")
    elif action in cc.recipes.names():
        runs.run(recipe(action), out, progress="none")
    else:
        result = runs.resume(out, progress="none")
        assert result.path == Path(out)
        found = str(result.report.confusion.tolist())
        assert found == processes.told(found)  # every process has the whole report
    backend.barrier()  # process 0 writes
    assert not list(Path(out).glob("**/.*.writing"))
    print(action)
