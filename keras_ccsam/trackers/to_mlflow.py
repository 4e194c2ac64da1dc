"""MLflow. Its variables hold: MLFLOW_TRACKING_URI says where to, MLFLOW_EXPERIMENT_NAME renames."""

import os
import time
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

from keras_ccsam.trackers.tracker import PROJECT, TrackedRun

# A server that is not there holds a run up for five minutes otherwise, at every run.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

# What MLflow takes at once, and of one value.
_PARAMETERS, _LENGTH = 100, 500


class Run:
    """A run of MLflow, beside whatever run the caller has open.

    Args:
        run: what it is about.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(name)
        experiment = self._client.create_experiment(name) if found is None else found.experiment_id
        tags = {"group": run.group} if run.group else {}
        self._id = self._client.create_run(experiment, run_name=run.name, tags=tags).info.run_id
        given = [Param(key, str(value)[:_LENGTH]) for key, value in run.config.items()]
        for i in range(0, len(given), _PARAMETERS):
            self._client.log_batch(self._id, params=given[i : i + _PARAMETERS])

    def log(self, values: Mapping[str, float], epoch: int, total: int) -> None:
        """Log each value at its epoch."""
        now = int(1000 * time.time())
        metrics = [Metric(key, value, now, epoch) for key, value in values.items()]
        self._client.log_batch(self._id, metrics=metrics)

    def close(self, *, failed: bool) -> None:
        """End it."""
        self._client.set_terminated(self._id, "FAILED" if failed else "FINISHED")
