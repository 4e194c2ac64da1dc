"""`Retraining`: one object for a recipe, a callback and a call, that checks itself."""

import dataclasses
import inspect

import keras
import numpy as np
import pytest
from keras import ops

import keras_ccsam as cc
from keras_ccsam import recipes
from keras_ccsam.callbacks import ClassifierRetraining
from keras_ccsam.options import options
from keras_ccsam.recipes.schema_stages import Stage1, Stage2
from keras_ccsam.runs import parts
from keras_ccsam.runs.stage_callbacks import stage_callbacks
from keras_ccsam.second_stage import Retraining
from tests.support import batch_norm_model, toy_batches

# What only a recipe has, and what only an object can hold.
OF_A_RECIPE = {"lr", "decay", "momentum", "average", "loss", "callbacks"}
OBJECTS = {"loss", "optimizer", "class_counts", "metrics"}


@pytest.fixture(scope="module")
def data():
    x, y = toy_batches(80)
    return cc.data.from_arrays(x, y)


def compiled(seed=0):
    keras.utils.set_random_seed(seed)
    model = batch_norm_model()
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def head(model):
    return [ops.convert_to_numpy(w) for w in model.head.weights]


def test_a_recipe_has_every_option_with_its_default_and_its_words():
    declared = options(Retraining)
    assert set(Stage2.model_fields) == set(declared) | OF_A_RECIPE
    assert {f.name for f in dataclasses.fields(Retraining)} == set(declared) | OBJECTS
    for name, option in declared.items():
        field = Stage2.model_fields[name]
        assert field.default == option.default
        # A recipe may say "stage1" of its augmentation: what stage 1 has, which it knows.
        assert name == "augment" or field.description == option.description
        assert option.description
    first = Stage1.model_validate({"augment": ["flip"]})
    assert Stage2.model_validate({}).retraining(first) == Retraining()
    followed = Stage2.model_validate({"augment": "stage1"}).retraining(first)
    assert followed == Retraining(augment=("flip",))


def test_the_adversarial_options_default_to_those_of_the_features():
    features = inspect.signature(cc.sharpness.AdversarialFeatures).parameters
    for name in ("strength", "radius_weights", "loss_weights", "weight_divisor"):
        assert features[name].default == getattr(Retraining(), name)


def test_every_choice_of_a_recipe_reaches_the_stage():
    chosen = {
        "epochs": 7, "learn": "both", "adversarial": False, "strength": 0.5,
        "strength_unit": "class_gap",
        "radius_weights": False, "loss_weights": True, "alpha_max": 0.25, "weight_divisor": 3.0,
        "reinitialize_head": True, "batch_norm": "update", "sampler": "square_root",
        "images_per_class": 2, "lr_factor": 0.5, "weight_decay": 0.125, "augment": ("flip",),
        "mixup": 0.75, "batch_size": 16,
    }  # fmt: skip
    assert set(chosen) == set(options(Retraining))
    recipe = recipes.load("mislas", overrides=[
        f"stage2.{key}={recipes_value(value)}" for key, value in chosen.items()
    ])  # fmt: skip
    batches = parts.train_batches(recipe, parts.load_data(recipe.data))
    stage = parts.retraining(recipe, recipe.stage2, batches)
    assert {name: getattr(stage, name) for name in chosen} == chosen
    assert stage.loss.name == "label_aware_smoothing"
    assert float(stage.optimizer.momentum) == recipe.stage2.momentum
    for name, default in ((n, o.default) for n, o in options(Retraining).items()):
        assert chosen[name] != default


def recipes_value(value):
    if isinstance(value, tuple):
        return '["' + '", "'.join(value) + '"]'
    return str(value).lower() if isinstance(value, bool) else str(value)


@pytest.mark.any_backend
def test_the_callback_takes_the_object_or_its_options(data):
    stage = Retraining(epochs=2, batch_size=16, strength=0.5)
    results = []
    for second in (
        ClassifierRetraining(data.train, stage),
        ClassifierRetraining(data.train, epochs=2, batch_size=16, strength=0.5),
    ):
        model = compiled()
        model.fit(data.train, epochs=1, verbose=0, callbacks=[second])
        results.append(head(model))
    model = compiled()
    model.fit(data.train, epochs=1, verbose=0)
    stage.run(model, data.train)
    results.append(head(model))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"either the second stage or its options.*, epochs"):
        ClassifierRetraining(data.train, stage, epochs=3)


def test_the_object_does_not_change():
    stage = Retraining(augment=["flip"], epochs=np.int64(3))
    assert (stage.augment, stage.epochs) == (("flip",), 3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        stage.epochs = 4
    assert dataclasses.replace(stage, mixup=1.0).mixup == 1.0
    with pytest.raises(ValueError, match="mixup=-1"):
        dataclasses.replace(stage, mixup=-1.0)


@pytest.mark.any_backend
def test_a_stage_that_prints_is_told_apart(data, capsys):
    def printed(fit_verbose, **given):
        second = ClassifierRetraining(data.train, epochs=2, **given)
        compiled().fit(data.train, epochs=1, verbose=fit_verbose, callbacks=[second])
        assert len(second.history.history["accuracy"]) == 2
        return capsys.readouterr().out

    lines = [line.strip() for line in printed(2).splitlines()]
    assert "loss" in lines[0]
    begin = lines.index("stage 2: the classifier is trained again, 2 epochs")
    assert lines.index("Epoch 1/2") == begin + 1 and "Epoch 2/2" in lines[begin:]
    assert printed(0) == ""
    assert "stage 2" not in printed(2, verbose=0)
    quiet = printed(0, verbose=2)
    assert quiet.startswith("stage 2: ") and "Epoch 2/2" in quiet
    Retraining(learn="scales", adversarial=False, epochs=1).run(compiled(), data.train, verbose=2)
    assert capsys.readouterr().out.startswith("stage 2: a scale per class is trained, 1 epoch\n")


def test_counts_of_other_classes_show_before_stage_1(data):
    model = compiled()
    before = head(model)
    second = ClassifierRetraining(data.train, class_counts=[5, 4, 3])
    with pytest.raises(ValueError, match=r"5 classes; it has 3"):
        model.fit(data.train, verbose=0, callbacks=[second])
    for a, b in zip(before, head(model), strict=True):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match="must be compiled"):
        Retraining().check(batch_norm_model())


def test_a_second_stage_may_follow_deferred_sampling():
    recipe = recipes.load("crt-swa")
    images = parts.load_data(recipe.data)
    batches = parts.train_batches(recipe, images)
    deferred = batches.with_options(deferred_sampler="inverse_frequency", deferred_from=3)
    _, (_, averaging) = stage_callbacks(recipe, images, deferred)
    assert averaging.train.options.deferred_sampler is None
