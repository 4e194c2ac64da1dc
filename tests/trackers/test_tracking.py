"""Trackers are told everything, change nothing, and cost a run nothing when they fail."""

import importlib
import json
import random
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import comparison, runs
from keras_ccsam.trackers import Tracking, check, known
from keras_ccsam.trackers.tracking import flat
from tests.trackers import standins

RECORD = {"stage": 1, "epoch": 1, "steps": 3, "seconds": 0.5, "learning_rate": 0.1, "loss": 2.0}


@pytest.fixture(autouse=True)
def real_packages_afterwards():
    yield
    standins.forget()


@pytest.fixture(scope="module")
def tracked(small, tmp_path_factory):
    """The run of `finished`, told to all trackers; TensorBoard is the real one, if it is there."""
    names = known.NAMES
    if importlib.util.find_spec("tensorboard") is None:
        names = standins.PACKAGES
    with pytest.MonkeyPatch.context() as patch:
        for name in ("WANDB_PROJECT", "MLFLOW_EXPERIMENT_NAME", "TRACKIO_PROJECT"):
            patch.delenv(name, raising=False)
        told = standins.install(patch)
        out = tmp_path_factory.mktemp("runs") / "ccsam"
        recipe = small("ccsam", "data.validation_fraction=0.2")
        result = runs.run(recipe, out, progress="none", trackers=names)
        standins.forget()
    return result, told


def timeless(path):
    """The records of a run without the time they took."""
    records = runs.RunDirectory(path).metrics()
    return [{k: v for k, v in record.items() if k != "seconds"} for record in records]


@pytest.mark.any_backend
def test_a_tracker_changes_no_number(tracked, finished):
    result, _ = tracked
    assert timeless(result.path) == timeless(finished.path)
    for part in ("test", "stage1", "validation", "digest"):
        assert result.results[part] == finished.results[part]
    recipe = (result.path / "recipe.toml").read_text()
    assert recipe == (finished.path / "recipe.toml").read_text()


def expected(result):
    """Name -> value at each epoch: what a tracker is to be told of a run."""
    epochs = [
        {f"stage{r['stage']}/{k}": v for k, v in r.items() if k not in ("stage", "epoch", "steps")}
        for r in runs.RunDirectory(result.path).metrics()
    ]
    last = {}
    reports = {
        "after_stage1": result.stage1_report,
        "test": result.report,
        "validation": result.validation_report,
    }
    for name, report in reports.items():
        last |= {f"{name}/overall": report.overall, f"{name}/balanced": report.balanced}
        last |= {f"{name}/ece": report.ece}
        last |= {f"{name}/{group}": value for group, value in report.groups.items()}
    assert {"test/many", "test/medium", "test/few", "after_stage1/few"} <= set(last)
    return [*epochs, last]


@pytest.mark.any_backend
def test_wandb_is_told(tracked):
    result, told = tracked
    (started,) = told["wandb"].of("init")
    assert started["name"] == "ccsam" and started["project"] == "keras-ccsam"
    assert started["dir"] == str(result.path) and started["group"] is None
    assert started["config"]["stage1.method.name"] == "class_conditional"
    assert ("stage2/*", "stage2/epoch") in told["wandb"].of("define_metric")
    epochs = [{"stage1/epoch": 1}, {"stage1/epoch": 2}, {"stage2/epoch": 1}, {"stage2/epoch": 2}]
    places = [*epochs, {}]
    wanted = [v | place for v, place in zip(expected(result), places, strict=True)]
    assert told["wandb"].of("log") == [pytest.approx(one) for one in wanted]
    assert told["wandb"].of("finish") == [0]


@pytest.mark.any_backend
def test_mlflow_is_told(tracked):
    result, told = tracked
    assert told["mlflow"].of("experiment") == ["keras-ccsam"]
    assert told["mlflow"].of("run") == [("7", "ccsam", {})]
    params = {k: v for part in told["mlflow"].of("params") for k, v in part.items()}
    assert params["stage2.epochs"] == "2" and params["seed"] == "0"
    logged = told["mlflow"].of("metrics")
    assert [{step for _, _, step in one} for one in logged] == [{1}, {2}, {1}, {2}, {2}]
    values = [{key: value for key, value, _ in one} for one in logged]
    assert values == [pytest.approx(one) for one in expected(result)]
    assert told["mlflow"].of("end") == ["FINISHED"]


@pytest.mark.any_backend
def test_trackio_is_told(tracked):
    result, told = tracked
    logged = told["trackio"].of("log")
    assert [step for step, _ in logged] == [1, 2, 3, 4, 4]
    assert [values for _, values in logged] == [pytest.approx(one) for one in expected(result)]
    assert told["trackio"].of("finish") == [None]


# Without TensorFlow, which TensorBoard reads with where it is installed.
READ = """
import json, sys, types
sys.modules["tensorboard.compat.notf"] = types.ModuleType("notf")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
found = EventAccumulator(sys.argv[1]).Reload()
scalars = {n: [(e.step, e.value) for e in found.Scalars(n)] for n in found.Tags()["scalars"]}
(content,) = found.PluginTagToContent("hparams").values()
told = HParamsPluginData.FromString(content).session_start_info.hparams
recipe = {key: getattr(value, value.WhichOneof("kind")) for key, value in told.items()}
print(json.dumps([scalars, recipe]))
"""


def read_events(folder):
    """What TensorBoard finds in a folder: points by name, and the recipe."""
    words = [sys.executable, "-c", READ, str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.any_backend
def test_tensorboard_reads_what_was_written(tracked):
    pytest.importorskip("tensorboard")
    result, _ = tracked
    scalars, recipe = read_events(result.path / "tensorboard")
    wanted = {}
    for step, values in zip((1, 2, 1, 2, 2), expected(result), strict=True):
        for name, value in values.items():
            wanted.setdefault(name, []).append((step, value))
    assert set(scalars) == set(wanted)
    for name, points in wanted.items():
        assert [step for step, _ in scalars[name]] == [step for step, _ in points]
        assert [value for _, value in scalars[name]] == pytest.approx([v for _, v in points])
    assert recipe["stage1.epochs"] == 2 and recipe["name"] == "ccsam"


# The trackers alone: `import keras_ccsam` imports Keras, and Keras imports its backend.
WRITE = """
import importlib.util, json, pathlib, sys, types
package = types.ModuleType("keras_ccsam")
package.__path__ = importlib.util.find_spec("keras_ccsam").submodule_search_locations
sys.modules["keras_ccsam"] = package
from keras_ccsam.trackers import Tracking
with Tracking(["tensorboard"], pathlib.Path(sys.argv[1]), {"seed": 1}) as tracking:
    tracking.epoch(json.loads(sys.argv[2]))
print(sorted({"tensorflow", "keras", "torch", "jax"} & set(sys.modules)), len(tracking._open))
"""


@pytest.mark.any_backend
def test_tensorboard_is_written_without_tensorflow(tmp_path):
    pytest.importorskip("tensorboard")
    words = [sys.executable, "-W", "error::UserWarning", "-c", WRITE, tmp_path, json.dumps(RECORD)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[] 1"
    scalars, recipe = read_events(tmp_path / "tensorboard")
    assert scalars["stage1/loss"] == [[1, 2.0]] and recipe == {"seed": 1}


@pytest.fixture
def told(monkeypatch):
    return standins.install(monkeypatch)


@pytest.mark.any_backend
def test_a_tracker_that_fails_is_left_out_with_one_warning(told, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise ConnectionError("no\nnetwork")

    with Tracking(["wandb", "trackio"], tmp_path, {"seed": 0}) as tracking:
        tracking.epoch(RECORD)
        monkeypatch.setattr(type(tracking._open["wandb"]), "log", fail)
        with pytest.warns(UserWarning, match="wandb .* goes on: ConnectionError: no network"):
            tracking.epoch(RECORD | {"epoch": 2})
        tracking.epoch(RECORD | {"epoch": 3})
    assert len(told["wandb"].of("log")) == 1 and told["wandb"].of("finish") == []
    assert [step for step, _ in told["trackio"].of("log")] == [1, 2, 3]


@pytest.mark.any_backend
def test_a_tracker_that_cannot_start_costs_nothing(told, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules["wandb"], "init", lambda **_: 1 / 0)
    with (
        pytest.warns(UserWarning, match="wandb .* ZeroDivisionError"),
        Tracking(["wandb", "mlflow"], tmp_path, {}) as tracking,
    ):
        tracking.epoch(RECORD)
    assert told["mlflow"].of("end") == ["FINISHED"]


@pytest.mark.any_backend
def test_ctrl_c_in_a_tracker_stops_the_run(told, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Tracking(["wandb"], tmp_path, {}) as tracking:
        monkeypatch.setattr(type(tracking._open["wandb"]), "log", interrupt)
        tracking.epoch(RECORD)


@pytest.mark.any_backend
def test_a_run_that_failed_is_closed_as_failed(told, tmp_path):
    with pytest.raises(MemoryError), Tracking(["wandb", "mlflow"], tmp_path, {}):
        raise MemoryError
    assert told["wandb"].of("finish") == [1]
    assert told["mlflow"].of("end") == ["FAILED"]


@pytest.mark.any_backend
def test_random_numbers_that_a_tracker_draws_are_not_missed(told, tmp_path):
    random.seed(1)
    np.random.seed(1)
    with Tracking(standins.PACKAGES, tmp_path, {}) as tracking:
        tracking.epoch(RECORD)
    drawn = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    assert drawn == (random.random(), np.random.random())


@pytest.mark.any_backend
def test_what_a_tracker_prints_is_not_the_result(told, tmp_path, capsys):
    with Tracking(["trackio"], tmp_path, {}) as tracking:
        tracking.epoch(RECORD | {"loss": float("nan"), "note": "text"})
    assert capsys.readouterr() == ("", "what Trackio says\n")
    ((_, values),) = told["trackio"].of("log")
    assert values == {"stage1/seconds": 0.5, "stage1/learning_rate": 0.1}


@pytest.mark.any_backend
def test_variables_rename_the_project(told, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    monkeypatch.setenv("TRACKIO_PROJECT", "mine")
    with Tracking(standins.PACKAGES, tmp_path, {}, group="compare"):
        pass
    assert told["wandb"].of("init")[0]["project"] == "mine"
    assert told["wandb"].of("init")[0]["group"] == "compare"
    assert told["mlflow"].of("experiment") == ["mine"]
    assert told["mlflow"].of("run")[0][2] == {"group": "compare"}
    assert told["trackio"].of("init")[0] == {
        "project": "mine",
        "name": tmp_path.name,
        "group": "compare",
    }


@pytest.mark.any_backend
def test_a_comparison_tells_of_the_first_stage_that_a_run_took_over(told, small, tmp_path):
    recipes = [small("ce", "stage1.epochs=1"), small("crt", "stage1.epochs=1", "stage2.epochs=1")]
    out = tmp_path / "both"
    comparison.compare(recipes, out=out, progress="none", trackers=["trackio"])
    assert told["trackio"].of("init") == [
        {"project": "keras-ccsam", "name": name, "group": "both"}
        for name in ("ce-seed0", "crt-seed0")
    ]
    names = [sorted({n.split("/")[0] for n in v}) for _, v in told["trackio"].of("log")]
    assert names == [["stage1"], ["test"], ["stage1"], ["stage2"], ["after_stage1", "test"]]


@pytest.mark.any_backend
def test_a_recipe_is_flat():
    table = {"a": {"b": {"c": 1}, "d": [0.5, "x"]}, "e": True, "f": None, "g": {}}
    assert flat(table) == {"a.b.c": 1, "a.d": '[0.5, "x"]', "e": True}


@pytest.mark.any_backend
def test_refusals(tmp_path, monkeypatch, small):
    assert check([]) == ()
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr(known.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install wandb\. Received: tracker='wandb'"):
        runs.run(small("ce"), tmp_path / "run", trackers=["wandb"])
    with pytest.raises(ValueError, match="no tracker 'excel'; choose from tensorboard, wandb"):
        comparison.compare([small("ce")], out=tmp_path / "both", trackers=["excel"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.any_backend
@pytest.mark.parametrize("command", [["train"], ["compare", "ce"]])
def test_the_command_line_says_what_to_install(command, tmp_path, monkeypatch):
    absent = types.SimpleNamespace(find_spec=lambda name: None)
    light = importlib.import_module("keras_ccsam_cli.light").library("trackers.known")
    monkeypatch.setattr(light.importlib, "util", absent)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(cli, [*command, "--tracker", "mlflow"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "pip install mlflow" in result.stderr and len(result.stderr.splitlines()) == 1
    assert list(Path().iterdir()) == []
