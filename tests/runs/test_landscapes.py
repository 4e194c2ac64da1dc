"""Landscapes of finished runs, and `ccsam landscape`."""

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import runs
from keras_ccsam.analysis import Landscape
from keras_ccsam.analysis.landscapes import computing
from keras_ccsam.runs import landscapes

SMALL = {"points": 3, "limit": 60}
ARGUMENTS = ("--points", "3", "--limit", "60")


@pytest.fixture(scope="module")
def two(finished, small, tmp_path_factory):
    """A run of two stages and one of cross-entropy that kept its path, in one folder."""
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(finished.path, folder / "ccsam")
    runs.run(small("ce"), folder / "ce", progress="none", record=("trajectory",))
    return folder


def ccsam(*arguments):
    return CliRunner().invoke(cli, ["landscape", *map(str, arguments)])


def test_the_middle_is_what_the_run_scored(finished, tmp_path):
    planned = runs.PlannedLandscapes([finished.path], split="test", points=3, out=tmp_path)
    made = planned.compute("none")
    (found,) = made.found.values()
    loss, accuracy = found.at_model()
    assert loss == pytest.approx(finished.report.nll, rel=1e-4)
    assert accuracy == pytest.approx(finished.report.overall)
    assert found.groups == finished.report.group_classes
    assert found.about["split"] == "test" and found.about["recipe"] == "ccsam"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"landscape-test-ccsam.npz", "landscape-test-ccsam.png"}


@pytest.mark.any_backend
def test_the_network_that_stage_1_left(finished, tmp_path):
    planned = runs.PlannedLandscapes(
        [finished.path], split="test", of="stage1", points=3, out=tmp_path
    )
    (found,) = planned.compute("none").found.values()
    assert found.at_model()[0] == pytest.approx(finished.stage1_report.nll, rel=1e-4)
    assert found.at_model()[0] != pytest.approx(finished.report.nll, rel=1e-3)


@pytest.mark.any_backend
def test_runs_share_directions_and_are_drawn_together(two):
    made = runs.PlannedLandscapes([two / "ce", two / "ccsam"], **SMALL).compute("none")
    assert len({each.about["draws_sha256"] for each in made.found.values()}) == 1
    assert len({each.about["directions_sha256"] for each in made.found.values()}) == 2
    assert made.files["ce"] == two / "ce" / "analysis" / "landscape.npz"
    assert made.pictures["ccsam"] == two / "ccsam" / "analysis" / "landscape.png"
    assert made.pictures["all"] == two / "landscapes.png"
    assert all(path.is_file() for path in (*made.files.values(), *made.pictures.values()))
    again = Landscape.load(made.files["ce"])
    np.testing.assert_array_equal(again.loss_sum, made.found["ce"].loss_sum)


@pytest.mark.any_backend
def test_other_networks_cannot_share_directions(two, small, tmp_path):
    runs.run(small("ce", "model.backbone.width=5"), tmp_path / "wide", progress="none")
    with pytest.raises(ValueError, match="Models share directions only if"):
        runs.PlannedLandscapes([two / "ce", tmp_path / "wide"], **SMALL)
    result = ccsam(two / "ce", tmp_path / "wide", *ARGUMENTS)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "wide" / "analysis").exists()


@pytest.mark.any_backend
def test_the_plane_of_the_path_of_training(two, tmp_path):
    made = runs.PlannedLandscapes([two / "ce"], trajectory=True, out=tmp_path, **SMALL)
    (found,) = made.compute("none").found.values()
    # Three points of a path: before the first epoch, and after both.
    assert found.path.shape == (3, 2)
    np.testing.assert_allclose(found.path[-1], 0.0, atol=1e-6)
    assert sum(found.about["explained_variance"]) == pytest.approx(1.0)
    assert found.about["stage"] == "stage1"
    with pytest.raises(ValueError, match="there is no trajectory"):
        runs.PlannedLandscapes([two / "ccsam"], trajectory=True, out=tmp_path)


@pytest.mark.any_backend
def test_the_command(two, tmp_path, monkeypatch):
    cost = ccsam(two / "ce", *ARGUMENTS, "--out", tmp_path, "--dry-run", "--json")
    assert json.loads(cost.stdout)["ce"]["points"] == 9
    assert list(tmp_path.iterdir()) == []
    assert "All together about" in ccsam(two / "ce", *ARGUMENTS, "--dry-run").stdout

    first = ccsam(two / "ce", two / "ccsam", *ARGUMENTS, "--out", tmp_path, "--json")
    assert first.exit_code == 0, first.output
    content = json.loads(first.stdout)
    assert content["picture"] == str(tmp_path / "landscapes.png")
    row = content["runs"]["ce"]["groups"]["tail"]
    assert set(row) == {"classes", "what", "loss", "accuracy", "doubling", "asymmetry"}
    assert row["classes"] == [9]
    assert "9/9 points" in first.stderr

    # The same again is read, another one refused, or written over if that is said.
    with monkeypatch.context() as patch:
        patch.setattr(computing.Points, "totals", None)
        assert ccsam(two / "ce", *ARGUMENTS, "--out", tmp_path, "-q").exit_code == 0
    other = ccsam(two / "ce", *ARGUMENTS, "--out", tmp_path, "--seed", "1")
    assert other.exit_code == 2
    assert "it differs in directions" in other.stderr
    assert "--overwrite" in other.stderr
    forced = ccsam(two / "ce", *ARGUMENTS, "--out", tmp_path, "--seed", "1", "--overwrite", "-q")
    assert forced.exit_code == 0, forced.output
    assert "points of" not in forced.output
    assert "doubles at" in forced.stdout
    assert Landscape.load(tmp_path / "landscape-ce.npz").about["seed"] == 1

    lines = ccsam(two / "ce", *ARGUMENTS, "--one-dimensional", "--lines", "2", "--out", tmp_path)
    assert lines.exit_code == 0, lines.output
    assert Landscape.load(tmp_path / "landscape-lines-ce.npz").loss().shape == (2, 3)


@pytest.mark.any_backend
def test_wrong_input_is_one_line(two, tmp_path):
    (tmp_path / "file").touch()
    for arguments, words in [
        ((two / "ce", "--out", tmp_path / "file"), "must be a folder"),
        ((two / "ce", "--trajectory", "--directions", "layer"), "leave one out"),
        ((tmp_path,), "not a run directory"),
        ((two / "ce", two / "ce"), "named twice"),
        ((two / "ce", "--points", "4"), "Received: 4"),
        ((two / "ce", "--split", "validation"), "Received: split='validation'"),
    ]:
        result = ccsam(*arguments)
        assert result.exit_code == 2, result.output
        assert words in result.stderr
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "options",
    [
        {"points": 4},
        {"span": 0.0},
        {"span": float("nan")},
        {"directions": "filters"},
        {"dimensions": 3},
        {"lines": 0},
        {"limit": 0},
        {"seed": -1},
        {"batch_norm": "as-trained"},
        {"batch_norm_samples": 1},
        {"batch_size": 0},
    ],
)
def test_options_are_checked_before_a_network_is_read(finished, monkeypatch, options):
    monkeypatch.setattr(landscapes, "open_run", lambda *_, **__: pytest.fail("read first"))
    with pytest.raises(ValueError, match=f"Received: {next(iter(options))}="):
        runs.PlannedLandscapes([finished.path], **options)


@pytest.mark.any_backend
def test_data_and_path_are_looked_for_before_a_network_is_read(finished, monkeypatch):
    monkeypatch.setattr(runs.RunDirectory, "model", lambda *_: pytest.fail("read first"))
    with pytest.raises(ValueError, match="there is no trajectory"):
        runs.PlannedLandscapes([finished.path], trajectory=True)
    monkeypatch.setattr(landscapes.TrainedRun, "model", lambda *_: pytest.fail("read first"))
    with pytest.raises(ValueError, match="Received: split='tset'"):
        runs.PlannedLandscapes([finished.path], split="tset")


@pytest.mark.any_backend
def test_a_damaged_network_is_one_sentence(two, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(two / "ccsam", damaged)
    for file, arguments in (
        ("model.keras", ()),
        ("checkpoints/stage1.weights.h5", ("--of", "stage1")),
    ):
        (damaged / file).write_bytes(b"junk")
        result = ccsam(damaged, *ARGUMENTS, *arguments)
        assert result.exit_code == 1
        assert f"{file} of the run has 4 bytes" in result.output
        assert "train the run again" in result.output and "Received: run=" in result.output
