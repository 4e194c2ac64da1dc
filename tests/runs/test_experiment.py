"""A recipe becomes a run directory."""

import json

import keras
import numpy as np
import pytest

from keras_ccsam import SharpnessAwareModel, data, recipes, runs
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import parts
from keras_ccsam.runs.learning_rates import stage1_rate
from keras_ccsam.runs.results import milliseconds_per_step
from keras_ccsam.runs.run_directory import RunDirectory, read_json


@pytest.mark.any_backend
def test_everything_is_written(finished):
    found = {str(p.relative_to(finished.path)) for p in finished.path.rglob("*") if p.is_file()}
    assert found == {
        "recipe.toml",
        "environment.json",
        "indices.npz",
        "metrics.jsonl",
        "metrics.csv",
        "checkpoints/stage1.weights.h5",
        "model.keras",
        "results.json",
        "validation.npz",
        "state.json",
        "manifest.json",
        "plots/curves.png",
        "plots/per_class.png",
        "plots/confusion.png",
    }
    assert RunDirectory(finished.path).status() == "complete"
    text = (finished.path / "recipe.toml").read_text(encoding="utf-8")
    assert Recipe.from_toml(text) == finished.recipe
    environment = read_json(finished.path / "environment.json")
    assert environment["backend"] == keras.backend.backend()
    assert environment["packages"]["keras"] == keras.version()
    assert {"device", "command", "git", "python"} <= set(environment)


@pytest.mark.any_backend
def test_the_results_say_what_was_measured(finished):
    results = json.loads((finished.path / "results.json").read_text())
    assert results == finished.results
    assert results["test"] == finished.report.to_dict()
    assert results["stage1"] == finished.stage1_report.to_dict()
    assert results["validation"] == finished.validation_report.to_dict()
    assert results["digest"] == finished.recipe.digest()
    assert results["epochs"] == {"stage1": 2, "stage2": 2}
    assert results["ms_per_step"] > 0
    plain = keras.models.load_model(finished.path / "model.keras", compile=False)
    assert results["parameters"] == plain.count_params()
    assert set(results["test"]["groups"]) == {"many", "medium", "few"}
    assert results["test"]["num_samples"] == 500
    saved = data.load_indices(finished.path / "indices.npz")
    assert list(saved.class_counts) == results["class_counts"]


@pytest.mark.any_backend
def test_every_epoch_has_a_record(finished):
    records = RunDirectory(finished.path).metrics()
    assert [(r["stage"], r["epoch"]) for r in records] == [(1, 1), (1, 2), (2, 1), (2, 2)]
    rate = finished.recipe.stage1.lr
    assert records[0]["learning_rate"] == pytest.approx(rate)
    assert records[2]["learning_rate"] == pytest.approx(finished.recipe.stage2.lr)
    assert all("loss" in r and "accuracy" in r and r["seconds"] > 0 for r in records)
    assert "val_loss" in records[0]


@pytest.mark.any_backend
def test_evaluating_a_run_gives_its_results(finished):
    again = runs.evaluate_run(finished.path).to_dict()
    for key in ("overall", "groups", "per_class", "confusion"):
        assert again[key] == finished.results["test"][key]
    assert again["ece"] == pytest.approx(finished.results["test"]["ece"], abs=1e-6)
    validation = runs.evaluate_run(finished.path, "validation").to_dict()
    assert validation["confusion"] == finished.results["validation"]["confusion"]


@pytest.mark.any_backend
def test_the_model_is_made_of_stock_layers(finished):
    model = keras.models.load_model(finished.path / "model.keras", compile=False)
    assert all(type(layer).__module__.startswith("keras") for layer in model.layers)
    assert not any("keras_ccsam" in type(layer).__module__ for layer in model.layers)


@pytest.mark.any_backend
def test_lines_and_other_data(small, tmp_path, capsys):
    result = runs.run(small("ce", "stage1.epochs=1"), tmp_path / "ce", progress="line")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[:2] for line in lines[2:]] == [["stage 1/1", "epoch 1/1"]]
    assert lines[0].startswith("note: the imbalance ratio is 128 / 12 = 10.67 in place of 10")
    assert lines[1].startswith("note: stage 1 has only ")
    assert result.report is result.stage1_report
    assert result.validation_report is None
    assert result.results["ms_per_step"] is None
    file = result.path / "recipe.toml"
    file.write_text(file.read_text().replace("imbalance_ratio = 10.0", "imbalance_ratio = 11.0"))
    with pytest.raises(ValueError, match=r"recipe\.toml of the run is not what was written"):
        runs.evaluate_run(result.path)
    RunDirectory(result.path).manifest.note(file, complete=True)
    with pytest.raises(ValueError, match="other training images than the run was trained on"):
        runs.evaluate_run(result.path)


@pytest.mark.any_backend
def test_a_run_that_breaks_off_is_marked_and_leaves_no_half_file(small, tmp_path, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("out of memory\nmore")

    monkeypatch.setattr("keras_ccsam.second_stage.Retraining.run", broken)
    out = tmp_path / "run"
    with pytest.raises(RuntimeError, match="out of memory"):
        runs.run(small("crt", "stage1.epochs=1"), out, progress="none")
    state = read_json(out / "state.json")
    assert (state["status"], state["error"]) == ("failed", "RuntimeError: out of memory")
    names = {p.name for p in out.rglob("*")}
    assert "stage1.weights.h5" in names
    assert not {"model.keras", "results.json"} & names
    assert not any(name.startswith(".") for name in names)
    with pytest.raises(ValueError, match="has no results"):
        runs.evaluate_run(out)


@pytest.mark.any_backend
def test_a_second_stage_that_cannot_be_is_refused_before_the_first(small, tmp_path, monkeypatch):
    def trained(*args, **kwargs):
        raise AssertionError("stage 1 was trained")

    monkeypatch.setattr("keras_ccsam.training.SharpnessAwareModel.fit", trained)
    with pytest.raises(ValueError, match="batch_size=100000"):
        runs.run(small("crt", "stage2.batch_size=100000"), tmp_path / "run", progress="none")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["sam", "ce"])
def test_options_reach_the_model(name, small):
    recipe = small(
        name,
        "model.head=cosine",
        "model.head.scale=8.0",
        "stage1.precision=mixed_bfloat16",
        "stage1.clip_norm=1.0",
        "stage1.nesterov=true",
        "stage1.weight_decay=0.1",
        "stage1.batch_norm_sync=replica",
        "stage1.flat_step=false",
    )
    images = parts.load_data(recipe.data)
    model = parts.build_model(recipe, images, steps=3)
    assert type(model.head).__name__ == "Cosine"
    assert model.head.scale == 8.0
    assert model.weight_decay == 0.1
    assert (model.batch_norm_sync, model.flat_step) == ("replica", False)
    assert model.backbone.dtype_policy.name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == "float32"
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    assert (optimizer.global_clipnorm, optimizer.nesterov) == (1.0, True)
    assert type(model.sharpness).__name__ == {"sam": "SAM", "ce": "ERM"}[name]


def rates(recipe, steps, epochs):
    schedule = stage1_rate(recipe.stage1, steps)
    return [float(keras.ops.convert_to_numpy(schedule(e * steps))) for e in epochs]


def test_the_learning_rate_follows_the_recipe(small):
    recipe = small("ce", "stage1.epochs=200", "stage1.warmup_epochs=5", "stage1.lr=0.1")
    recipe = Recipe.from_dict(
        {**recipe.to_dict(), "stage1": {**recipe.to_dict()["stage1"], "boundaries": [0.8, 0.9]}}
    )
    epochs = (0, 4, 159, 160, 179, 180, 199)
    expected = [0.02, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    assert rates(recipe, 7, epochs) == pytest.approx(expected)
    # CC-SAM's code: from lr / 3, and each fall an epoch early
    released = recipes.load("ccsam-published", "cifar10-lt")
    expected = [0.1 / 3 * 0.8 + 0.02, 0.1, 0.1, 0.01, 0.01, 0.001]
    assert rates(released, 7, (0, 4, 158, 159, 178, 179)) == pytest.approx(expected)
    constant = small("ce", "stage1.decay=constant", "stage1.epochs=9", "stage1.lr=0.2")
    assert rates(constant, 7, (1, 8)) == pytest.approx([0.2, 0.2])
    cosine = small("ce", "stage1.decay=cosine", "stage1.epochs=11", "stage1.lr=0.2")
    assert rates(cosine, 7, (0, 1, 6, 11)) == pytest.approx([0.2, 0.2, 0.1, 0.0], abs=1e-7)
    # boundaries inside the warm-up take effect at its end
    short = small("ce", "stage1.epochs=2", "stage1.warmup_epochs=5", "stage1.lr=0.1")
    assert rates(short, 7, (0, 1)) == pytest.approx([0.02, 0.04])


def test_a_seed_draws_the_weights_that_it_always_has(small):
    # Another order of the parts would change the numbers of every run, and nothing would say so.
    recipe = small("ce")
    images = parts.load_data(recipe.data)
    keras.utils.set_random_seed(3)
    model = parts.build_model(recipe, images, steps=3)
    keras.utils.set_random_seed(3)
    backbone = parts.build_backbone(recipe.model, images.image_shape)
    by_hand = SharpnessAwareModel(backbone, keras.layers.Dense(images.num_classes))
    for weight, other in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)


def test_the_methods_variables_are_no_parameters(small):
    images = parts.load_data(small("ce").data)
    counts = {
        parts.count_parameters(parts.build_model(small(name), images, steps=3))
        for name in ("ce", "sam", "ccsam")
    }
    assert len(counts) == 1


@pytest.mark.any_backend
def test_a_set_smaller_than_a_batch_keeps_its_only_batch(small):
    images = parts.load_data(small("ce").data)
    total = sum(images.class_counts)
    whole = parts.train_batches(small("ce", f"stage1.batch_size={total + 1}"), images)
    assert (len(whole), len(whole[0][0])) == (1, total)
    batches = parts.train_batches(small("ce"), images)
    assert len(batches) == total // 64
    assert {len(batches[i][0]) for i in range(len(batches))} == {64}


@pytest.mark.any_backend
def test_the_time_of_a_step_is_the_median_after_the_first_epoch():
    epochs = [{"seconds": s, "steps": 10} for s in (9.0, 0.1, 0.3, 0.2)]
    assert milliseconds_per_step(epochs) == 20.0
    assert milliseconds_per_step(epochs[:1]) is None


@pytest.mark.any_backend
def test_the_plan_names_counts_and_steps_and_trains_nothing(small):
    recipe = small("ccsam", "stage1.warmup_epochs=7")
    found = runs.plan(recipe)
    text = found.text()
    images = parts.load_data(recipe.data)
    assert found.images.class_counts == images.class_counts
    assert found.steps == len(parts.train_batches(recipe, images))
    assert found.parameters == parts.count_parameters(parts.build_model(recipe, images, 1))
    for part in ("class_conditional", "2 epochs of", "parameters", "adversarial features"):
        assert part in text
    assert "warning   stage1.warmup_epochs=7" in text
    assert all(f"{count}  " in text for count in images.class_counts)
