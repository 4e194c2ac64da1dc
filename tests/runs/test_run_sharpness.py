"""The sharpness of finished runs, from Python and from the command line."""

import errno
import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli
from PIL import Image

from keras_ccsam import runs
from keras_ccsam.runs import run_sharpness as of_runs
from keras_ccsam.runs.run_sharpness import run_sharpness


@pytest.fixture(scope="module")
def folder(finished, tmp_path_factory):
    """A copy of a finished run that may be written into."""
    return shutil.copytree(finished.path, tmp_path_factory.mktemp("run") / "ccsam")


@pytest.fixture(scope="module")
def measured(folder):
    run = runs.open_run(folder)
    return run, run_sharpness(run, limit=40, eigenvalues=1, probes=1, max_steps=4, density=True)


def test_the_whole_set_s_loss_is_that_of_the_run(folder):
    run = runs.open_run(folder)
    found = run_sharpness(run, split="test", hessian="none")
    z = np.asarray(run.model().predict(run.images.x_test, verbose=0), "float64")
    z -= np.log(np.exp(z - z.max(1, keepdims=True)).sum(1, keepdims=True)) + z.max(1, keepdims=True)
    losses = -z[np.arange(len(z)), run.images.y_test]
    assert found["overall"].loss == pytest.approx(losses.mean(), rel=1e-4)
    assert found["3"].loss == pytest.approx(losses[run.images.y_test == 3].mean(), rel=1e-4)
    assert found["tail class"].training_images == min(run.images.class_counts)


@pytest.mark.any_backend
def test_what_is_written_describes_itself(folder, measured):
    run, found = measured
    content = json.loads((folder / "analysis" / "sharpness.json").read_text())
    assert (content["kind"], content["format"]) == ("sharpness", 1)
    assert content["run"]["digest"] == run.recipe.digest()
    assert content["run"]["split"] == "train"
    assert content["settings"]["radius_scale"] == run.recipe.stage1.method.radius_scale
    assert content["settings"]["samples"] == 40
    assert content["class_names"] == list(run.images.class_names)
    assert content["sets"][0]["gap_sam"] == pytest.approx(found["overall"].gap)
    assert len(content["sets"][0]["hessian"]["density"]) == 201
    with Image.open(folder / "analysis" / "sharpness.png") as image:
        assert min(image.size) > 400


@pytest.mark.any_backend
def test_the_command_compares_runs(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    arguments = ["sharpness", str(folder), str(other), "--hessian", "none", "--limit", "30"]
    picture = tmp_path / "both.png"
    result = CliRunner().invoke(cli, [*arguments, "--rho", "0.1", "--plot", str(picture), "-q"])
    assert result.exit_code == 0, result.output
    rows = [line for line in result.stdout.splitlines() if line.startswith("tail class")]
    assert [row.split()[2] for row in rows] == [str(folder), str(other)]
    assert rows[0].split()[3:] == rows[1].split()[3:]
    assert "gap rho=0.1" in result.stdout
    assert picture.stat().st_size > 0
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert set(json.loads(result.stdout)["runs"]) == {str(folder), str(other)}


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["--rho", "-1"], "it must be a number above 0. Received: -1"),
        (["--weights", "("], "Received: weights='('"),
        (["--limit", "2"], "Received: limit=2"),
        (["--plot", "absent/x.png"], "Received: --plot=absent/x.png"),
    ],
)
def test_wrong_input_ends_in_one_line(folder, wrong, said):
    before = sorted(folder.rglob("*"))
    result = CliRunner().invoke(cli, ["sharpness", str(folder), "--quiet", *wrong])
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr
    assert sorted(folder.rglob("*")) == before


@pytest.mark.any_backend
def test_what_is_refused_replaces_nothing(folder):
    kept = folder / "analysis" / "sharpness.json"
    kept.parent.mkdir(exist_ok=True)
    kept.touch()
    result = CliRunner().invoke(cli, ["sharpness", str(folder), "--weights", "nowhere"])
    assert result.exit_code == 2
    assert "replaced" not in result.output


@pytest.mark.any_backend
def test_what_finds_no_room_is_printed(folder, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(of_runs, "write_json", full)
    arguments = ("--quiet", "--hessian", "none", "--limit", "40")
    result = CliRunner().invoke(cli, ["sharpness", str(folder), *arguments])
    assert result.exit_code == 1
    assert "overall" in result.stdout and "Written into" not in result.stdout
    assert "No space left on device" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.any_backend
def test_a_folder_that_is_no_run_is_refused(tmp_path):
    result = CliRunner().invoke(cli, ["sharpness", str(tmp_path)])
    assert (result.exit_code, "not a run directory" in result.stderr) == (2, True)


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("analysis/bound.json", "{}", "no record of the bound"),
        ("results.json", "{}", "results.json of the run has 2 bytes"),
        ("checkpoints/stage1.weights.h5", "junk", "stage1.weights.h5 of the run has 4 bytes"),
    ],
)
def test_the_bound_of_a_damaged_run_is_one_line(finished, tmp_path, file, content, said):
    run = tmp_path / "run"
    shutil.copytree(finished.path, run)
    (run / "analysis").mkdir(exist_ok=True)
    (run / file).write_text(content)
    result = CliRunner().invoke(cli, ["bound", str(run)])
    assert result.exit_code == (2 if file.startswith("analysis") else 1)
    assert said in result.output and "Received: " in result.output
