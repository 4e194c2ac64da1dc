"""The writer's output reads back as what went in."""

import tomllib

import pytest

from keras_ccsam import recipes
from keras_ccsam.recipes import Recipe, toml


@pytest.mark.parametrize("setting", recipes.settings())
@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_survives_the_round_trip(name, setting, tmp_path):
    recipe = recipes.load(name, data=setting)
    assert Recipe.from_toml(recipe.to_toml()) == recipe
    file = tmp_path / "recipe.toml"
    file.write_text(recipe.to_toml(), encoding="utf-8")
    assert recipes.load(file) == recipe
    assert recipes.load(file).digest() == recipe.digest()


def test_awkward_values_survive():
    values = {
        "text": 'quote " backslash \\ line\nbreak \t \x7f \x01 é 漢',
        "empty": "",
        "tiny": 1e-06,
        "huge": 1e300,
        "third": 1 / 3,
        "whole": 1.0,
        "integer": -3,
        "yes": True,
        "list": [1, 2.5, "a", False, []],
        "a key with spaces": 1,
        "table": {"empty": {}, "deep": {"dotted.key": "x"}, "x": 0},
    }
    read = tomllib.loads(toml.dump(values))
    assert read == values
    assert isinstance(read["whole"], float)
    assert isinstance(read["integer"], int)


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="Received"):
        toml.dump({"a": None})
