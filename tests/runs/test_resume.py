"""A run that is ended at any moment and gone on with leaves the folder that it would have left."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from functools import partial

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from keras_ccsam import runs, stopping
from keras_ccsam.callbacks import RunState
from keras_ccsam.comparison import compare
from keras_ccsam.recipes import tables
from keras_ccsam.recipes.tables import Table
from keras_ccsam.reproduction import reproduce
from keras_ccsam.runs import experiment, work
from keras_ccsam.runs.run_directory import RunDirectory, write_json

TIMES = ("seconds", "ms_per_step")
SPLIT = "data.validation_fraction=0.1"


class Cut(BaseException):
    """In place of a kill."""


def left(folder):
    """Everything that a run leaves, but its times: numbers, records, weights."""
    with np.load(folder / "validation.npz") as file:
        predicted = file["predicted"]
    results = json.loads((folder / "results.json").read_text())
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    model = runs.RunDirectory(folder).model()
    recorded = folder / "analysis" / "radius.json"
    return {
        "results": {key: value for key, value in results.items() if key not in TIMES},
        "records": [{k: v for k, v in record.items() if k not in TIMES} for record in records],
        "rows of the csv": len((folder / "metrics.csv").read_text().splitlines()),
        "model": [np.array(weight) for weight in model.get_weights()],
        "stage 1": stage1(folder),
        "predicted": predicted,
        "recorded": recorded.read_text() if recorded.exists() else None,
    }


def stage1(folder):
    """The weights and the optimizer that stage 1 left."""
    model = runs.open_run(folder).stage1_model()
    variables = [*model.weights, *model.optimizer.variables]
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assert_same(one, other):
    one, other = left(one), left(other)
    for key, value in one.items():
        if isinstance(value, list) and isinstance(value[0], np.ndarray):
            for a, b in zip(value, other[key], strict=True):
                np.testing.assert_array_equal(a, b, key)
        else:
            np.testing.assert_equal(other[key], value, key)


@pytest.fixture
def cut(monkeypatch):
    """Ends the process' work after so many steps, of all stages, or before a judgement."""
    steps = {"now": 0, "at": None, "judged": None}
    begin, judge = RunState.on_train_batch_begin, work.reported

    def step(self, batch, logs=None):
        begin(self, batch, logs)
        self._saver.wait()  # a step takes longer than a state to write, in earnest
        if self._passing is None and self._pending is None:
            steps["now"] += 1
            if steps["now"] == steps["at"]:
                raise Cut

    def judged(*arguments):
        if steps["judged"] is not None:
            steps["judged"] -= 1
            if steps["judged"] < 0:
                raise Cut
        return judge(*arguments)

    monkeypatch.setattr(RunState, "on_train_batch_begin", step)
    monkeypatch.setattr(work, "reported", judged)

    def after(at=None, judged=None):
        steps.update(now=0, at=at, judged=judged)

    return after


OPTIONS = {"progress": "none", "compile_cache": "off"}


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """A run without an interruption."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    recipe = small("ccsam", SPLIT, 'stage2.augment=["crop"]')
    return runs.run(recipe, folder, record=["radius"], **OPTIONS)


# Which of its files a run goes on from is the same on each backend.
@pytest.mark.parametrize(
    "judged", [None, *(pytest.param(at, marks=pytest.mark.any_backend) for at in (0, 1))]
)
def test_a_run_that_is_cut_ends_the_same(whole, cut, tmp_path, judged):
    """In both stages; or between them; or in the last evaluation."""
    run = tmp_path / "run"
    cut(at=5 if judged is None else None, judged=judged)
    with pytest.raises(Cut):
        runs.run(whole.recipe, run, record=["radius"], save_every=3, **OPTIONS)
    half = run / "checkpoints" / ".0123abcd.stage1.weights.h5"  # as a kill leaves it
    half.write_bytes(b"half")
    keras.utils.set_random_seed(99)
    if judged is None:
        cut(at=21)
        with pytest.raises(Cut):
            runs.resume(run, save_every=3, **OPTIONS)
    cut()
    runs.resume(run, save_every=3, **OPTIONS)
    assert_same(whole.path, run)
    assert RunDirectory(run).status() == "complete"
    assert not (run / "checkpoints" / "state").exists() and not half.exists()
    with pytest.raises(ValueError, match="the run is complete; there is nothing to go on with"):
        runs.resume(run)


@pytest.mark.any_backend
def test_a_set_on_the_device_stays_there(whole, cut, tmp_path):
    """On PyTorch the numbers are those of the host, to the last bit."""
    cut(at=21)
    with pytest.raises(Cut):
        runs.run(
            whole.recipe, tmp_path, record=["radius"], data_on="device", save_every=3, **OPTIONS
        )
    cut()
    runs.resume(tmp_path, **OPTIONS)
    assert RunDirectory(tmp_path).environment()["asked"]["data_on"] == "device"
    assert RunDirectory(whole.path).environment()["asked"]["data_on"] == "host"
    assert_same(whole.path, tmp_path)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        ("m2m", (9, 25)),
        ("crt-swa", (20,)),
        ("gcl", (5, 22)),  # noise and mixup in both stages
        ("mislas", (21,)),
        ("ldam-drw-sam", (11,)),  # the weights of the classes have changed by then
    ],
)
def test_methods_with_a_state_of_their_own_are_gone_on_with(name, cuts, small, cut, tmp_path):
    """A helper, an average, noise, scales that are learnt, weights that come late."""
    recipe = small(name, SPLIT)
    runs.run(recipe, tmp_path / "whole", **OPTIONS)
    done = 0
    for at in cuts:
        cut(at=at - done)
        with pytest.raises(Cut):
            begin = runs.resume if done else partial(runs.run, recipe)
            begin(tmp_path / "run", save_every=3, **OPTIONS)
        done = at
    cut()
    keras.utils.set_random_seed(99)
    runs.resume(tmp_path / "run", save_every=3, **OPTIONS)
    assert_same(tmp_path / "whole", tmp_path / "run")
    if name == "m2m":
        assert_same(tmp_path / "whole" / "helper", tmp_path / "run" / "helper")


@pytest.mark.any_backend
def test_a_comparison_goes_on_with_its_run(small, cut, tmp_path):
    recipes = [small("ce", SPLIT), small("crt", SPLIT)]
    compare(recipes, out=tmp_path / "whole", **OPTIONS)
    cut(at=21)
    with pytest.raises(Cut), pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "run", partial(runs.run, save_every=3))
        compare(recipes, out=tmp_path / "c", **OPTIONS)
    cut()
    compare(recipes, out=tmp_path / "c", **OPTIONS)
    assert not list(tmp_path.rglob("*.incomplete-*"))
    for name in ("ce-seed0", "crt-seed0"):
        assert_same(tmp_path / "whole" / name, tmp_path / "c" / name)


@pytest.mark.any_backend
def test_a_reproduction_goes_on_with_its_run(cut, tmp_path, monkeypatch):
    row = 'label = "CE"\nrecipe = "ce"\ndata = "cifar10-lt"\nimbalance_ratio = 20\n'
    table = Table.from_toml(f'title = "t"\nsource = "s"\n[[rows]]\n{row}')
    monkeypatch.setattr(tables, "load", lambda name: table)
    small = ["model.backbone.width=4", "model.backbone.features=8", "stage1.epochs=2", SPLIT]
    options = {"scale": "tiny", "overrides": small, "progress": "none", "compile_cache": "off"}
    reproduce("toy", out=tmp_path / "whole", **options)
    cut(at=21)
    with pytest.raises(Cut), pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment, "run", partial(runs.run, save_every=3))
        reproduce("toy", out=tmp_path / "r", **options)
    cut()
    resumed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            experiment, "resume", lambda *a, **o: resumed.append(a) or runs.resume(*a, **o)
        )
        reproduce("toy", out=tmp_path / "r", **options)
    assert len(resumed) == 1 and not list(tmp_path.rglob("*.incomplete-*"))
    (run,) = (path.parent for path in (tmp_path / "r").rglob("results.json"))
    assert_same(tmp_path / "whole" / run.relative_to(tmp_path / "r"), run)


@pytest.mark.any_backend
def test_what_cannot_be_gone_on_with_is_refused(whole, small, cut, tmp_path, monkeypatch):
    run = tmp_path / "run"
    cut(at=5)
    with pytest.raises(Cut):
        runs.run(whole.recipe, run, save_every=3, **OPTIONS)
    cut()
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    load = work.parts.load_data

    def other(choice):
        return load(choice.model_copy(update={"seed": choice.seed + 1}))

    with monkeypatch.context() as patch:
        patch.setattr(work.parts, "load_data", other)
        with pytest.raises(ValueError, match="other training images than the run was"):
            runs.resume(run, **OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(keras.backend, "backend", lambda: "mlx")
        with pytest.raises(ValueError, match="goes on with it: set KERAS_BACKEND=torch"):
            runs.resume(run, **OPTIONS)
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert RunDirectory(run).status() == "failed"


@pytest.mark.any_backend
def test_a_signal_ends_a_run_of_the_command_line(whole, cut, tmp_path, monkeypatch):
    """Saved, said, with a code of its own; and gone on with by the command that was said."""
    from keras_ccsam_cli.main import cli

    begin, steps = RunState.on_train_batch_begin, []

    def asked(self, batch, logs=None):
        steps.append(batch)
        if len(steps) == 24:
            os.kill(os.getpid(), signal.SIGTERM)
        begin(self, batch, logs)

    run = tmp_path / "run"
    (tmp_path / "r.toml").write_text(whole.recipe.to_toml())
    with monkeypatch.context() as patch:
        patch.setattr(RunState, "on_train_batch_begin", asked)
        line = ["train", str(tmp_path / "r.toml"), "--out", str(run), "-q", "--record", "radius"]
        ended = CliRunner().invoke(cli, line)
    assert ended.exit_code == stopping.EXIT_CODE
    again = f"ccsam train --resume {run}"
    said = r"ccsam: stopped by SIGTERM, saved at stage 2, epoch 2, after step 2; this goes on: "
    assert re.search(said + re.escape(again), ended.stderr)
    assert RunDirectory(run).status() == "interrupted"
    refused = CliRunner().invoke(cli, [*again.split()[1:], "--seed", "3"])
    assert refused.exit_code == 2 and "leave this out" in refused.stderr
    done = CliRunner().invoke(cli, [*again.split()[1:], "-q"])
    assert done.exit_code == 0, done.stderr
    assert_same(whole.path, run)
    done = CliRunner().invoke(cli, again.split()[1:])
    assert (done.exit_code, done.stdout) == (0, f"The run is complete: {run}\n")


@pytest.mark.parametrize("place", [1, pytest.param(2, marks=pytest.mark.any_backend)])
def test_a_signal_does_not_wait_for_an_evaluation(whole, tmp_path, monkeypatch, place):
    """Nor for the features of stage 2: what takes long is stopped between two of its batches."""
    passes, ended, predict = [], [], keras.Model.predict

    def asked(self, *arguments, **options):
        passes.append(self)
        if len(passes) == place:
            os.kill(os.getpid(), signal.SIGTERM)
        found = predict(self, *arguments, **options)
        ended.append(self)
        return found

    run = tmp_path / "run"
    with monkeypatch.context() as patch, stopping.stoppable():
        patch.setattr(keras.Model, "predict", asked)
        with pytest.raises(stopping.Stopped):
            runs.run(whole.recipe, run, record=["radius"], **OPTIONS)
    assert (len(passes), len(ended)) == (place, place - 1)
    assert RunDirectory(run).status() == "interrupted"
    runs.resume(run, **OPTIONS)
    assert_same(whole.path, run)


@pytest.mark.any_backend
def test_one_that_was_killed_after_its_results_gets_its_pictures(whole, tmp_path):
    run = RunDirectory(tmp_path / "run")
    shutil.copytree(whole.path, run.path)
    write_json(run.state_file, {"kind": "run", "status": "running"})
    for picture in run.plots.iterdir():
        picture.unlink()
    assert run.status() == "complete"
    runs.resume(run.path, **OPTIONS)
    assert_same(whole.path, run.path)
    assert {p.name for p in run.plots.iterdir()} == {p.name for p in whole.path.glob("plots/*")}


@pytest.mark.any_backend
@pytest.mark.parametrize("written", [(), ("state.json",), ("state.json", "recipe.toml")])
def test_one_that_was_killed_while_its_folder_was_made_is_begun_again(whole, tmp_path, written):
    run = RunDirectory(tmp_path / "run")
    for folder in (run.checkpoints, run.plots):
        folder.mkdir(parents=True)
    for name in written:
        shutil.copy(whole.path / name, run.path / name)
    run.check_free()
    (run.path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="never overwritten"):
        run.check_free()


@pytest.mark.any_backend
def test_how_often_is_checked_before_anything_is_written(whole, tmp_path):
    from keras_ccsam_cli.main import cli

    with pytest.raises(ValueError, match="Received: save_every=0"):
        runs.run(whole.recipe, tmp_path / "run", save_every=0)
    line = ["train", "ce", "--out", str(tmp_path / "run"), "--save-every", "\u00b2"]
    refused = CliRunner().invoke(cli, line)
    assert refused.exit_code == 2 and "save_every" in refused.stderr.replace("-", "_")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.any_backend
def test_a_run_that_is_killed_ends_the_same(whole, tmp_path):
    """A real SIGKILL, in the second stage."""
    run, recipe = tmp_path / "run", tmp_path / "r.toml"
    recipe.write_text(whole.recipe.to_toml())
    script = (
        "import sys; from keras_ccsam import recipes, runs\n"
        "runs.run(recipes.load(sys.argv[1]), sys.argv[2], record=['radius'], save_every=2,"
        " progress='none')"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(recipe), str(run)]) as process:
        state = run / "checkpoints" / "state" / "stage2"
        while process.poll() is None and not list(state.glob("snapshot-*")):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert RunDirectory(run).status() == "killed"
    runs.resume(run, **OPTIONS)
    assert_same(whole.path, run)
