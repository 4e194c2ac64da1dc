"""What reference pages are made of."""

import inspect

import pytest

from keras_ccsam import recipes
from keras_ccsam.declare import KINDS
from keras_ccsam.recipes import reference

pytestmark = pytest.mark.any_backend


def test_every_part_says_what_it_is():
    everything = reference.everything()
    assert set(everything) == set(KINDS)
    for kind, entries in everything.items():
        assert entries, f"no part of the kind {kind}"
        for entry in entries:
            assert entry.summary.endswith("."), entry.place
            assert entry.formula, entry.place
            assert entry.text.startswith(entry.summary)
            for option in entry.options:
                assert option.description, f"{entry.place}: {option.name}"
                assert option.expected != "of another type", f"{entry.place}: {option.name}"
                assert option.default is not inspect.Parameter.empty
                assert reference.as_toml(option)


@pytest.mark.parametrize(
    ("kind", "name", "key", "users"),
    [
        ("sharpness", "sam", "stage1.method", {"sam", "ldam-sam"}),
        ("sharpness", "adversarial_features", "stage1.method", {"ccsam", "ccsam-stage2"}),
        ("loss", "gcl", "stage1.loss", {"gcl", "gcl-ccsam"}),
        ("loss", "label_aware_smoothing", "stage1.loss", {"mislas"}),
        ("head", "cosine", "model.head", {"ldam", "gcl"}),
        ("posthoc", "tau_normalization", "posthoc", {"tau-norm"}),
        ("backbone", "small_cnn", "model.backbone", set(recipes.names())),
    ],
)
def test_it_names_the_recipes_that_use_a_part(kind, name, key, users):
    entry = next(entry for entry in reference.entries(kind) if entry.name == name)
    assert entry.key == key
    assert users <= set(entry.recipes)
    assert kind == "backbone" or len(entry.recipes) < len(recipes.names())


def test_an_option_is_told_in_full():
    sam = next(entry for entry in reference.entries("sharpness") if entry.name == "sam")
    rho = sam.options[0]
    assert (rho.name, reference.as_toml(rho), rho.expected) == ("rho", "0.05", "at least 0")
    assert rho.variable
    assert "|| g ||" in sam.formula.replace("||g||", "|| g ||")
    assert sam.place == "keras_ccsam.sharpness.sam.SAM"
    assert (sam.limit.other, dict(sam.limit.options)) == ("erm", {"rho": 0.0})
