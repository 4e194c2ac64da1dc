"""Recording a run: no number changes, files are there, and the commands read them."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import runs
from keras_ccsam.comparison import compare
from keras_ccsam.recipes import override
from keras_ccsam.runs.record_options import OPTIONS, check_record
from keras_ccsam.runs.recorders import RECORDERS


def ccsam(*arguments):
    result = CliRunner().invoke(cli, [str(a) for a in arguments])
    assert result.exit_code == 0, result.output
    return result


@pytest.fixture(scope="module")
def recorded(finished, small, tmp_path_factory):
    """The run `finished` once more, recorded."""
    out = tmp_path_factory.mktemp("recorded") / "run"
    return runs.run(finished.recipe, out, progress="none", record=("bound", "radius", "bound"))


@pytest.mark.any_backend
def test_recording_changes_no_number_of_a_run(finished, recorded):
    times = {"seconds", "ms_per_step"}
    own, other = (
        {key: value for key, value in each.results.items() if key not in times}
        for each in (recorded, finished)
    )
    assert own == other  # with the digests
    models = [runs.RunDirectory(each.path).model().get_weights() for each in (recorded, finished)]
    for first, second in zip(*models, strict=True):
        np.testing.assert_array_equal(first, second)
    assert (recorded.path / "recipe.toml").read_text() == (
        finished.path / "recipe.toml"
    ).read_text()


@pytest.mark.any_backend
def test_files_lie_in_the_run_s_folder(finished, recorded):
    assert not (finished.path / "analysis").exists()
    names = {path.name for path in (recorded.path / "analysis").iterdir()}
    assert names == {"bound.json", "bound.png", "radius.json", "radius.png"}
    for name in ("bound", "radius"):
        content = json.loads((recorded.path / "analysis" / f"{name}.json").read_text())
        assert (content["kind"], content["format"]) == (name, 1)
        assert content["epochs"] == [1, 2]
        assert content["class_counts"] == recorded.results["class_counts"]
        assert all(np.shape(rows) == (2, 10) for rows in content["values"].values())
    bound = json.loads((recorded.path / "analysis" / "bound.json").read_text())
    assert bound["classes"][:2] == [0, 9]  # head, tail, then the others


@pytest.mark.any_backend
def test_the_recorded_losses_are_those_of_the_stage_1_weights(recorded):
    """The 0-1 test loss after the last epoch is what stage 1's report says."""
    content = json.loads((recorded.path / "analysis" / "bound.json").read_text())
    last = dict(zip(content["classes"], content["values"]["test_zero_one"][-1], strict=True))
    for label, accuracy in enumerate(recorded.stage1_report.per_class):
        assert last[label] == pytest.approx(1 - accuracy, abs=1e-6)


@pytest.mark.any_backend
def test_bound_draws_the_record_of_any_class(recorded):
    result = ccsam("bound", recorded.path)
    assert "after epoch 2 of stage 1 (2 recorded); delta = 0.05; w: head, k =" in result.stdout
    assert "bound.png" in result.stdout
    content = json.loads(ccsam("bound", recorded.path, "--class", "9", "--json").stdout)
    assert content["class"] == 9
    assert content["picture"].endswith("bound-class9.png")
    assert (recorded.path / "analysis" / "bound-class9.png").stat().st_size > 0
    place = content["classes"].index(9)
    assert content["values"]["root_16"][-1][place] > content["values"]["root_16"][-1][0]


@pytest.mark.any_backend
def test_a_run_without_a_record_gives_the_end_of_stage_1(finished, recorded, tmp_path):
    copy = shutil.copytree(finished.path, tmp_path / "plain")
    result = ccsam("bound", copy)
    assert f"ccsam train {copy}/recipe.toml --record bound --out {copy}-recorded" in result.stdout
    assert "(1 recorded)" in result.stdout
    own = json.loads((copy / "analysis" / "bound-checkpoint.json").read_text())
    record = json.loads((recorded.path / "analysis" / "bound.json").read_text())
    for name, rows in own["values"].items():
        assert rows[-1][0] == pytest.approx(record["values"][name][-1][0], rel=1e-4, abs=1e-7), name
    own = json.loads(ccsam("bound", copy, "--weights", "all", "--delta", "0.01", "--json").stdout)
    assert own["settings"]["weights_count"] > 1000
    assert own["settings"]["delta"] == 0.01
    assert not (copy / "analysis" / "bound.json").exists()


@pytest.mark.any_backend
def test_a_first_stage_that_is_taken_over_brings_its_record(finished, recorded, tmp_path, capsys):
    recipe = override(recorded.recipe, "stage2.epochs=1")
    names = ("radius.json", "radius.png", "bound.json", "bound.png")
    options = {"record": ("radius", "bound"), "progress": "line"}
    result = runs.run(recipe, tmp_path / "a", stage1_from=recorded.path, **options)
    for name in names:
        copied, own = (each.path / "analysis" / name for each in (result, recorded))
        assert copied.read_bytes() == own.read_bytes()
    assert "not recorded there" not in capsys.readouterr().out
    result = runs.run(recipe, tmp_path / "b", stage1_from=finished.path, **options)
    assert not (result.path / "analysis").exists()
    assert "radius, bound: not recorded there, so not here" in capsys.readouterr().out


@pytest.mark.any_backend
@pytest.mark.parametrize("call", ["compare", "reproduce"])
def test_what_trains_several_runs_hands_it_on(call, small, tmp_path, monkeypatch):
    from keras_ccsam import reproduction
    from keras_ccsam.runs import experiment

    asked = []

    def run(*arguments, **options):
        asked.append(options["record"])
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", run)
    with pytest.raises(KeyboardInterrupt):
        if call == "compare":
            compare([small("ce")], out=tmp_path / "x", progress="none", record=("radius",))
        else:
            options = {"scale": "tiny", "out": tmp_path / "x", "progress": "none"}
            reproduction.reproduce("figure2", **options, record="radius")
    assert asked == [{"radius": {}}]


@pytest.mark.any_backend
def test_without_a_test_set_the_rest_is_drawn(finished, tmp_path):
    import dataclasses

    from keras_ccsam.runs import run_bound, trained_run

    run = runs.open_run(finished.path)
    images = dataclasses.replace(run.images, x_test=None, y_test=None)
    directory = runs.RunDirectory(shutil.copytree(finished.path, tmp_path / "plain"))
    untested = trained_run.TrainedRun(directory, run.recipe, images, run.results)
    content = run_bound.bound_at_checkpoint(untested, [0], "head", 0.05)
    assert content["settings"]["has_test"] is False
    assert np.isnan(content["values"]["test_loss"][0][0])
    assert run_bound.picture_of(directory, content, 0, False).stat().st_size > 0


@pytest.mark.any_backend
def test_wrong_input_ends_in_one_line(recorded, tmp_path):
    cases = {
        ("train", "ce", "--record", "bond", "--out", tmp_path / "x"): "did you mean 'bound'",
        ("compare", "ce", "--record", "bond", "--out", tmp_path / "x"): "Received: record=['bond']",
        ("reproduce", "table1", "--record", "x", "--out", tmp_path / "x"): "record=['x']",
        ("bound", tmp_path): "not a run directory",
        ("bound", recorded.path, "--class", "ten"): "Received: class='ten'",
        ("bound", recorded.path, "--delta", "2"): "between 0 and 1. Received: 2",
        ("bound", recorded.path, "--weights", "nowhere"): "Received: weights='nowhere'",
    }
    for arguments, said in cases.items():
        result = CliRunner().invoke(cli, [str(a) for a in arguments])
        assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1), arguments
        assert said in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.any_backend
def test_options_of_what_is_recorded(tmp_path):
    out = tmp_path / "run"
    words = ["train", "ce", "--epochs", "1", "--out", out, "--record", "bound,radius"]
    words += ["--set", "model.backbone.width=4", "--record-set", "bound.class=9,0"]
    words += ["--record-set", "bound.delta=0.2", "--record-set", "bound.weights=kernel"]
    words += ["--record-set", "radius.limit=50", "--quiet"]
    ccsam(*words)
    bound = json.loads((out / "analysis" / "bound.json").read_text())
    assert bound["classes"] == [9, 0]
    assert bound["settings"]["delta"] == 0.2 and bound["settings"]["weights"] == "kernel"
    assert bound["settings"]["weights_count"] > 1000  # more than the head
    radius = json.loads((out / "analysis" / "radius.json").read_text())
    assert radius["settings"]["limit"] == 50 and radius["settings"]["samples"] <= 50


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--record-set bound.delta=0.1", "'bound' is not recorded; with --record bound it is."),
        ("--record bound --record-set delta=0.1", "NAME.KEY=VALUE, as in bound.delta=0.01"),
        ("--record bound --record-set bound.delta=1.5", "Received: bound.delta='1.5'"),
        ("--record bound --record-set bound.delta=x", "must be a probability between 0 and 1"),
        ("--record bound --record-set bound.dleta=1", "did you mean 'delta'"),
        ("--record bound --record-set bound.class=,", "must be a class, or several"),
        ("--record bound --record-set bound.class=ten", "Received: class='ten'"),
        ("--record bound --record-set bound.weights=nowhere", "Received: weights='nowhere'"),
        ("--record bound --record-set bound.weights=(", "must be head, all or a pattern"),
        ("--record radius --record-set radius.limit=0", "Received: radius.limit='0'"),
        ("--record trajectory --record-set trajectory.every=2", "trajectory has no options"),
    ],
)
def test_wrong_options_are_said_before_anything_is_trained(words, said, tmp_path):
    command = ["train", "ce", "--out", str(tmp_path / "x"), *words.split()]
    result = CliRunner().invoke(cli, command)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert said in result.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.any_backend
def test_names_of_recorders():
    from keras_ccsam_cli import complete

    assert check_record("bound") == {"bound": {}}
    assert list(RECORDERS) == list(OPTIONS)
    offered = [item.value for item in complete.records(None, None, "")]
    assert offered == list(RECORDERS)
