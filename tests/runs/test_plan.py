"""A plan says what would be done, and nothing is read, downloaded or allocated for it."""

import json

import keras
import pytest
from click.testing import CliRunner
from keras_ccsam_cli.main import cli

from keras_ccsam import data, recipes, runs
from keras_ccsam.comparison.check_models import check_models
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
        pytest.param("crt-sn", "cifar10-lt", marks=pytest.mark.any_backend),
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


REFUSED = (
    ("ce", ['stage1.callbacks=["curriculum"]'], {}, "add it to them"),
    ("cuda", ['stage1.callbacks=["curriculum", "curriculum"]'], {}, "2 of them"),
    ("cuda", ['stage1.augment=[{name = "curriculum", without = ["spin"]}]'], {}, "spin"),
    (
        "cuda",
        [
            'stage1.augment=[{name = "curriculum", start = 3}]',
            'stage1.callbacks=[{name = "curriculum", most = 2}]',
        ],
        {},
        "start=3",
    ),
    (
        "crt",
        ['stage1.augment=["curriculum"]', 'stage2.callbacks=["curriculum"]'],
        {},
        "a second stage has batches of its own",
    ),
    ("cuda", [], {"data_on": "device"}, "computed on the host"),
    ("ce", [], {"data_on": "moon"}, "moon"),
    ("ce", [], {"record": {"bound": {"class": ["eleven"]}}}, "eleven"),
    (
        "ce",
        ['stage1.callbacks=[{name = "head_initialization", embeddings = "no.npz"}]'],
        {},
        "no.npz",
    ),
)


@pytest.mark.any_backend
@pytest.mark.parametrize(("name", "changes", "options", "match"), REFUSED)
def test_it_refuses_what_the_run_refuses(name, changes, options, match, small, tmp_path):
    """In the same words, and the run before its first step, whichever stage it is about."""
    recipe = small(name, *changes)
    said = []
    with pytest.raises(ValueError, match=match) as found:
        runs.plan(recipe, **options)
    said.append(str(found.value))
    with pytest.raises(ValueError, match=match) as found:
        runs.run(recipe, tmp_path / "run", progress="none", **options)
    assert str(found.value) == said[0]
    assert not (tmp_path / "run").exists()
    if "data_on" not in options:
        for read in (False, True):
            with pytest.raises(ValueError, match=match) as found:
                check_models([recipe], read=read, **options)
            assert str(found.value) == said[0]


@pytest.mark.any_backend
@pytest.mark.parametrize(
    "command",
    [
        ("train", "ce"),
        ("compare", "ce", "ce-drw"),
        ("sweep", "batch_size", "--recipe", "ce", "--values", "16,32"),
        ("reproduce", "table2", "--scale", "small"),
        ("auto", "digits-lt", "--recipe", "ce"),
    ],
)
def test_every_dry_run_makes_the_callbacks(command, nothing_is_read):
    arguments = [*command, "--dry-run", "--set", 'stage1.callbacks=["curriculum"]']
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2, result.output
    assert "add it to them" in result.output
