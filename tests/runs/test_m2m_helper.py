"""A run of M2m: its helper is trained first, or taken from a finished run."""

import pytest

from keras_ccsam import recipes, runs
from keras_ccsam.runs.m2m_helper import helper_recipe
from keras_ccsam.runs.run_directory import RunDirectory

SHORT = (
    "stage1.epochs=2",
    "stage1.translate.start=1",
    "stage1.translate.steps=1",
    "stage1.resample.start=1",
    "model.backbone.width=4",
)


def load(*overrides):
    return recipes.load("m2m", overrides=[*SHORT, *overrides])


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("m2m") / "run"
    return runs.run(load(), folder, progress="none")


@pytest.mark.any_backend
def test_the_helper_is_a_finished_plain_run_inside(finished):
    inside = RunDirectory(finished.path / "helper")
    assert inside.status() == "complete"
    recipe = inside.recipe()
    assert recipe.stage1.translate is None and recipe.stage1.resample is None
    assert recipe.stage1.method.name == "erm" and recipe.stage2 is None
    assert recipe.digest() == helper_recipe(finished.recipe).digest()
    # Loads without a translation: it is no part of the network.
    assert runs.evaluate_run(finished.path).overall == finished.report.overall


@pytest.mark.any_backend
def test_a_finished_run_may_be_the_helper(finished, tmp_path):
    inside = finished.path / "helper"
    other = runs.run(
        load(f'stage1.translate.helper="{inside}"'), tmp_path / "other", progress="none"
    )
    assert not (other.path / "helper").exists()
    assert other.report.overall == finished.report.overall


@pytest.mark.any_backend
def test_a_helper_of_other_images_is_refused_before_anything_is_written(finished, tmp_path):
    recipe = load(
        f'stage1.translate.helper="{finished.path / "helper"}"', "data.imbalance_ratio=20"
    )
    with pytest.raises(ValueError, match="trained on other images"):
        runs.run(recipe, tmp_path / "other", progress="none")
    with pytest.raises(ValueError, match="not a run directory"):
        runs.run(load("stage1.translate.helper=nowhere"), tmp_path / "other", progress="none")
    assert not (tmp_path / "other").exists()
