"""Every recipe on the digits: it learns, which a model that does nothing does not.

The recipes are a registry: a TOML file added to `recipes/methods` is tested here, both stages.
Each distinct first stage is trained once. PyTorch, which has nothing to compile, trains them all;
the other backends those that together choose everything that any recipe chooses beside what other
tests train there: `ELSEWHERE`.
"""

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from keras_ccsam import recipes
from keras_ccsam.metrics.evaluation import evaluate
from keras_ccsam.runs import parts
from keras_ccsam.runs.stage_callbacks import apply_posthoc, stage_callbacks

# An epoch is an eighth of so short a training: a rate that falls one early would fall too early.
SHORT = ("stage1.epochs=8", "stage1.decay_lead=0", "model.backbone.width=8")
# The head that it keeps counts little in its first epochs.
LONGER = dict.fromkeys(("glmc", "glmc-published"), ("stage1.epochs=40",))
CHANCE = 0.1
LONG = {"ccsam-all", "m2m"}  # their steps run for longer than they compile


def load(name):
    plain = recipes.load(name)
    second = ["stage2.epochs=3"] if plain.stage2 is not None else []
    if plain.stage2 is not None and plain.stage2.loss_weights:
        second.append("stage2.alpha_max=0.3")  # up to 1 it collapses, as these recipes say
    # What freezes or adapts a network is meant for a trained one.
    trained = [f"model.weights={pretrained()}"] if plain.model.train is not None else []
    return recipes.load(name, overrides=[*SHORT, *LONGER.get(name, ()), *second, *trained])


@functools.cache
def pretrained():
    """A file of the weights of a backbone that cross-entropy has trained."""
    recipe = recipes.load("ce", overrides=[*SHORT, "stage1.mixup=0"])
    # With another seed: the head that learnt with the backbone must not be there again.
    model, batches = built(recipe, seed=1)
    model.fit(batches, epochs=recipe.stage1.epochs, verbose=0)
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = Path(folder, "backbone.weights.h5")
    model.backbone.save_weights(file)
    return file


# Of each, the folder whose tests train it on every backend; what NumPy does to batches knows none.
ELSEWHERE = {
    "stage1.method.": "contract",
    "stage1.loss.": "contract",
    "stage1.terms": "contract",
    "stage1.views": "contract",
    "stage1.decay": "schedules",
    "stage1.decay_in_loss": "sharpness",
    "stage1.augment": "NumPy",
    "stage1.sampler": "NumPy",
    "stage1.resample": "NumPy",
    "stage2.loss.": "losses",
    "stage2.decay": "schedules",
    "stage2.augment": "NumPy",
    "stage2.sampler": "NumPy",
    "stage2.learn": "second_stage",
    "stage2.average": "callbacks",
    "posthoc": "second_stage",
    "model.spectral_norm": "layers",
    "model.train": "models",
}


def choices(name):
    """Each part and switch that a recipe chooses, and each table that it has; no numbers."""

    def leaves(value, path):
        if isinstance(value, dict):
            yield path, "a table"
            for key, inner in value.items():
                yield from leaves(inner, f"{path}.{key}")
        elif isinstance(value, str | bool):
            yield path, value

    tables = recipes.load(name).model_dump(include={"model", "stage1", "stage2", "posthoc"})
    found = {choice for key, value in tables.items() for choice in leaves(value, key)}
    return {choice for choice in found if not choice[0].startswith(tuple(ELSEWHERE))}


def covering():
    """Recipes that together choose all that recipes choose, each time the one with most to add."""
    chosen = {name: choices(name) for name in recipes.names()}
    left, names = set().union(*chosen.values()), set()
    while left:
        name = max(chosen, key=lambda name: len(chosen[name] & left))
        left -= chosen[name]
        names.add(name)
    return names


COVERING = covering()


@functools.cache
def images():
    return parts.load_data(recipes.load("ce").data)


@functools.cache
def helper():
    """The plain network that guides M2m."""
    recipe = recipes.load("ce", overrides=[*SHORT, "stage1.mixup=0"])
    model, batches = built(recipe)
    model.fit(batches, epochs=recipe.stage1.epochs, verbose=0)
    return model.export_plain()


def built(recipe, seed=0):
    batches = parts.train_batches(recipe, images())
    keras.utils.set_random_seed(seed)
    guide = helper() if recipe.stage1.translate else None
    return parts.build_model(recipe, images(), len(batches), guide), batches


_trained = {}


def after_stage1(recipe):
    """A model after stage 1; the weights of recipes that share it are computed once."""
    model, batches = built(recipe)
    start = overall(model)
    digest = recipe.stage1_digest()
    if digest not in _trained:
        model.fit(
            batches,
            epochs=recipe.stage1.epochs,
            callbacks=stage_callbacks(recipe, images(), batches)[0],
            verbose=0,
        )
        _trained[digest] = model.get_weights()
    model.set_weights(_trained[digest])
    return model, batches, start


def overall(model):
    return evaluate(model, images().split_arrays("test"), images().class_counts).overall


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in COVERING else pytest.mark.any_backend)
        for name in recipes.names()
    ],
)
def test_it_learns(name, request):
    if name in LONG:
        request.getfixturevalue("compiled_in_full")
    recipe = load(name)
    model, batches, start = after_stage1(recipe)
    first = overall(model)
    assert first > 3 * CHANCE and first > start + 0.1
    head = np.concatenate([ops.convert_to_numpy(w).ravel() for w in model.head.weights])
    if recipe.stage2 is not None:
        parts.retraining(recipe, recipe.stage2, batches).run(
            model, batches, callbacks=stage_callbacks(recipe, images(), batches)[1]
        )
    elif recipe.posthoc is not None:
        apply_posthoc(recipe, images(), model)
    else:
        return
    now = np.concatenate([ops.convert_to_numpy(w).ravel() for w in model.head.weights])
    assert np.abs(now - head).max() > 1e-3
    assert overall(model) > 3 * CHANCE
