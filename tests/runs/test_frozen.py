"""Runs on a frozen backbone: features computed once, with the numbers of a run on images."""

import keras
import numpy as np
import pytest
from click.testing import CliRunner

from cli.main import cli
from keras_ccsam import comparison, recipes, runs
from keras_ccsam.runs import experiment, frozen
from keras_ccsam.runs.trained_run import open_run

SHORT = ("stage1.epochs=2", "model.backbone.width=4", "model.backbone.features=8")


def load(name, *changes):
    second = ["stage2.epochs=2"] if name.endswith(("crt", "ccsam")) else []
    return recipes.load(name, overrides=[*SHORT, *second, *changes])


def weights(run):
    return keras.models.load_model(run.path / "model.keras", compile=False).get_weights()


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["linear-probe-ccsam", "linear-probe-ncm"])
def test_it_equals_a_run_that_passes_every_image(name, tmp_path, monkeypatch):
    recipe = load(name)
    cached = experiment.run(recipe, tmp_path / "cached", progress="none")
    assert list((tmp_path / ".feature-cache").glob("*.npy"))
    monkeypatch.setattr(frozen, "why_images", lambda *_: "the test wants it")
    whole = experiment.run(recipe, tmp_path / "whole", progress="none")
    for one, other in zip(weights(cached), weights(whole), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    assert cached.results["parameters"] == whole.results["parameters"]
    assert cached.results["test"]["overall"] == pytest.approx(whole.results["test"]["overall"])
    # The run's folder is whole: its first stage opens, and scores what it scored.
    run = open_run(cached.path)
    found = run.evaluate(run.stage1_model(), "test").overall
    assert found == pytest.approx(cached.stage1_report.overall)
    assert experiment.evaluate_run(cached.path).overall == pytest.approx(cached.report.overall)


@pytest.mark.any_backend
def test_a_comparison_shares_the_features_and_the_first_stage(tmp_path, capsys):
    chosen = [load("linear-probe"), load("linear-probe-crt")]
    kept = tmp_path / "kept"
    found = comparison.compare(chosen, out=tmp_path / "table", progress="line", feature_cache=kept)
    said = [x for x in capsys.readouterr().out.splitlines() if x.startswith("frozen backbone")]
    # One pass over training and test images, and one over none.
    assert [line.split(" parts")[0].split()[-1] for line in said] == ["2", "0"]
    assert len(list(kept.glob("*.npy"))) == 2 and not (tmp_path / ".feature-cache").exists()
    alone = experiment.run(chosen[1], tmp_path / "alone", progress="none", feature_cache="off")
    row = next(row for row in found.rows if row.recipe == "linear-probe-crt")
    assert row.results[0]["test"]["overall"] == pytest.approx(alone.report.overall)


@pytest.mark.any_backend
def test_other_weights_have_other_features_and_a_damaged_file_is_written_anew(tmp_path):
    kept = tmp_path / "kept"
    for number, change in enumerate(("seed=0", "seed=1")):
        experiment.run(
            load("linear-probe", change),
            tmp_path / str(number),
            progress="none",
            feature_cache=kept,
        )
    assert len(list(kept.glob("*.npy"))) == 4
    for file in kept.glob("*.npy"):
        file.write_bytes(b"damaged")
    run = experiment.run(
        load("linear-probe"), tmp_path / "again", progress="none", feature_cache=kept
    )
    one, other = weights(run), keras.models.load_model(tmp_path / "0" / "model.keras").get_weights()
    np.testing.assert_array_equal(one[-1], other[-1])


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["stage1.mixup=1.0"], "stage1.mixup mixes them"),
        (["stage1.augment=['flip']"], "stage1.augment changes them"),
    ],
)
def test_images_that_change_are_passed_in_every_epoch(changes, reason, tmp_path, capsys):
    run = experiment.run(load("linear-probe", *changes), tmp_path / "run", progress="line")
    assert reason in capsys.readouterr().out
    assert not (tmp_path / ".feature-cache").exists()
    start = run.results["test"]["overall"]
    assert 0 <= start <= 1


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("linear-probe-crt", "stage2.batch_norm=update", "stage2.batch_norm must be 'frozen'"),
        ("linear-probe", "model.spectral_norm.power_iterations=1", "model.spectral_norm changes"),
        ("lift", "model.train.rank=0", "model.train.rank"),
        ("ce", "model.train=frozn", "did you mean 'frozen'"),
        ("ce", "stage1.head_lr_factor=-1", "stage1.head_lr_factor"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(name, change, message):
    with pytest.raises(ValueError, match=message):
        recipes.load(name, overrides=[change])


class Reached(Exception):
    """What is looked for has been called."""


@pytest.mark.any_backend
@pytest.mark.parametrize("command", ["train", "compare"])
def test_an_option_and_a_variable_say_where_features_are_kept(command, tmp_path, monkeypatch):
    given = []

    def note(*_, feature_cache, **__):
        given.append(feature_cache)
        raise Reached

    monkeypatch.setattr(
        *{"train": (runs, "run"), "compare": (comparison, "compare")}[command], note
    )
    words = [command, "linear-probe", "--out", str(tmp_path / "out")]
    for arguments, variable in (
        (words, None),
        (words, "kept"),
        ([*words, "--feature-cache", "off"], "kept"),
    ):
        CliRunner().invoke(cli, arguments, env={"CCSAM_FEATURE_CACHE": variable})
    assert given == ["auto", "kept", "off"]


@pytest.mark.any_backend
def test_a_file_is_no_folder_for_features(tmp_path):
    (tmp_path / "file").write_text("")
    for choice, message in ((tmp_path / "file", "this is a file"), ("", "needs a name")):
        with pytest.raises(ValueError, match=f"{message}.*Received: feature_cache="):
            experiment.run(load("linear-probe"), tmp_path / "run", feature_cache=choice)
    assert not (tmp_path / "run").exists()
