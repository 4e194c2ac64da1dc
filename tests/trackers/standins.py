"""Modules with the part of W&B's, MLflow's and Trackio's interface that we call.

Checked by hand against wandb 0.31, mlflow 3.17 and trackio 0.43. They write down what they are
told, and draw random numbers, as the real ones do for names and retries.
"""

import importlib.machinery
import random
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

PACKAGES = ("wandb", "mlflow", "trackio")


class Told(list):
    """What a package was told, in order: (what, arguments)."""

    def of(self, what: str) -> list[Any]:
        """All arguments of one kind."""
        return [arguments for name, arguments in self if name == what]


def install(monkeypatch: Any) -> dict[str, Told]:
    """Put all three in the place of the real ones."""
    made = {"wandb": _wandb(), "mlflow": _mlflow(), "trackio": _trackio()}
    for name, (module, _) in made.items():
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.delitem(sys.modules, f"keras_ccsam.trackers.to_{name}", raising=False)
    entities = ModuleType("mlflow.entities")
    entities.Metric = lambda key, value, timestamp, step: (key, value, step)  # type: ignore[attr-defined]
    entities.Param = lambda key, value: (key, value)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return {name: told for name, (_, told) in made.items()}


def forget() -> None:
    """Let the real packages be imported again."""
    for name in PACKAGES:
        sys.modules.pop(f"keras_ccsam.trackers.to_{name}", None)


def _draw() -> None:
    random.random()
    np.random.random()


def _wandb() -> tuple[ModuleType, Told]:
    told, module = Told(), ModuleType("wandb")

    class Run:
        def define_metric(self, name: str, step_metric: str | None = None) -> None:
            told.append(("define_metric", (name, step_metric)))

        def log(self, data: dict[str, Any]) -> None:
            _draw()
            told.append(("log", data))

        def finish(self, exit_code: int | None = None) -> None:
            told.append(("finish", exit_code))

    def init(*, project: Any, name: Any, group: Any, config: Any, dir: Any, reinit: Any,
             settings: Any) -> Run:  # fmt: skip
        _draw()
        told.append(("init", {"project": project, "name": name, "group": group,
                              "config": config, "dir": dir}))  # fmt: skip
        return Run()

    module.init = init  # type: ignore[attr-defined]
    module.Settings = lambda console: console  # type: ignore[attr-defined]
    return module, told


def _mlflow() -> tuple[ModuleType, Told]:
    told, module = Told(), ModuleType("mlflow")

    class MlflowClient:
        def get_experiment_by_name(self, name: str) -> None:
            _draw()

        def create_experiment(self, name: str) -> str:
            told.append(("experiment", name))
            return "7"

        def create_run(self, experiment_id: str, run_name: str, tags: dict[str, str]) -> Any:
            told.append(("run", (experiment_id, run_name, tags)))
            return SimpleNamespace(info=SimpleNamespace(run_id="r"))

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            _draw()
            assert run_id == "r" and len(params) <= 100
            told.append(("metrics", metrics) if metrics else ("params", dict(params)))

        def set_terminated(self, run_id: str, status: str) -> None:
            told.append(("end", status))

    module.MlflowClient = MlflowClient  # type: ignore[attr-defined]
    return module, told


def _trackio() -> tuple[ModuleType, Told]:
    told, module = Told(), ModuleType("trackio")

    def log(metrics: dict[str, Any], step: int) -> None:
        _draw()
        print("what Trackio says")
        told.append(("log", (step, metrics)))

    def init(*, project: str, name: str, group: str | None, config: Any, embed: bool) -> Any:
        _draw()
        told.append(("init", {"project": project, "name": name, "group": group}))
        return SimpleNamespace(log=log)

    module.init = init  # type: ignore[attr-defined]
    module.finish = lambda: told.append(("finish", None))  # type: ignore[attr-defined]
    return module, told
