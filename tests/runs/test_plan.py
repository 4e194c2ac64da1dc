"""A plan says what would be done, and nothing is read, downloaded or allocated for it."""

import json

import keras
import pytest

from keras_ccsam import data, recipes, runs
from keras_ccsam.data.sources import digits
from keras_ccsam.runs import parts


@pytest.fixture
def nothing_is_read(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("images were read")

    monkeypatch.setattr(digits, "load_digits", refuse)
    monkeypatch.setattr(keras.datasets.cifar10, "load_data", refuse)
    monkeypatch.setattr(keras.datasets.cifar100, "load_data", refuse)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("ccsam", "digits-lt"),
        ("crt-sn", "cifar10-lt"),
        pytest.param("m2m", "cifar100-lt-small", marks=pytest.mark.any_backend),
        pytest.param("ldam-drw-ccsam", "digits-lt", marks=pytest.mark.any_backend),
        pytest.param("mislas", "cifar10-lt-small", marks=pytest.mark.any_backend),
    ],
)
def test_no_weight_of_the_network_gets_a_value(name, setting, nothing_is_read, monkeypatch):
    built = []

    def noted(*arguments, _build=parts.build_model, **options):
        built.append(_build(*arguments, **options))
        return built[-1]

    monkeypatch.setattr(parts, "build_model", noted)
    recipe = recipes.load(name, setting)
    plan = runs.plan(recipe)
    weights = built[0].backbone.variables
    assert len(weights) > 10
    assert all(variable._value is None for variable in weights)
    assert plan.images.name == recipe.data.name
    json.dumps(plan.to_dict(), allow_nan=False)
    assert recipe.data.name in plan.text()


@pytest.mark.any_backend
@pytest.mark.parametrize("name", ["ccsam", "m2m", "gcl", "ce"])
def test_the_plan_is_that_of_the_run(name, small):
    recipe = small(name)
    images = parts.load_data(recipe.data)
    batches = parts.train_batches(recipe, images)
    plan = runs.plan(recipe)
    assert plan.steps == len(batches)
    assert plan.images.class_counts == images.class_counts
    assert plan.parameters == parts.count_parameters(parts.build_model(recipe, images, 1))
    assert len(plan.rates) == recipe.stage1.epochs


@pytest.mark.any_backend
def test_a_set_smaller_than_a_batch_is_one_step(small):
    recipe = small("ce", "stage1.batch_size=5000")
    assert runs.plan(recipe).steps == len(parts.train_batches(recipe, parts.load_data(recipe.data)))


def test_a_model_can_be_trained_after_a_plan(small, tmp_path):
    recipe = small("ce", "stage1.epochs=1")
    runs.plan(recipe)
    after = runs.run(recipe, tmp_path / "after", progress="none")
    keras.utils.set_random_seed(5)
    again = runs.run(recipe, tmp_path / "again", progress="none")
    assert after.results["test"] == again.results["test"]


@pytest.mark.any_backend
def test_many_epochs_are_planned_as_quickly(small):
    plan = runs.plan(small("ce", "stage1.epochs=1000000"))
    assert len(plan.rates) == 1001
    with pytest.raises(ValueError, match="at most 1,000,000"):
        small("ce", "stage1.epochs=1000001")


@pytest.mark.any_backend
def test_a_helper_that_is_no_run_is_refused(small):
    with pytest.raises(ValueError, match="not a run directory"):
        runs.plan(small("m2m", "stage1.translate.helper=nowhere"))


@pytest.mark.any_backend
def test_a_ratio_that_the_data_cannot_have_is_a_note():
    plan = runs.plan(recipes.load("ce"))
    assert any("128 / 2 = 64 in place of 50" in note for note in plan.notes)
    assert "note      the imbalance ratio is 128 / 2 = 64 in place of 50" in plan.text()
    assert runs.plan(recipes.load("ce", "cifar10-lt")).notes == ()
    assert data.load("digits-lt", imbalance_ratio=50).outline.ratio_note in plan.notes


@pytest.mark.any_backend
@pytest.mark.parametrize(
    ("train", "count"),
    [
        ("frozen", 0),
        # the third convolution, 8 channels to 8, and its BatchNorm
        ("last_block", 9 * 8 * 8 + 2 * 8),
        # three convolutions with factors (3, 3, c, 1) and (1, d)
        ("{name = 'lora', rank = 1}", sum(9 * c + d for c, d in ((1, 4), (4, 8), (8, 8)))),
    ],
)
def test_it_says_what_is_trained(train, count, nothing_is_read):
    small = ("model.backbone.width=4", "model.backbone.features=8")
    plan = runs.plan(recipes.load("ce", overrides=[*small, f"model.train={train}"]))
    assert plan.trained == count + 8 * 10 + 10
    assert plan.to_dict()["trained_parameters"] == plan.trained
    line = next(x for x in plan.text().splitlines() if x.startswith("trained"))
    assert f"{plan.trained:,} of {plan.parameters:,} parameters, the head included" in line
    assert "trained " not in runs.plan(recipes.load("ce", overrides=small)).text()
