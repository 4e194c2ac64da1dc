"""The recipes hold what their sources say, value by value: `docs/sourced-values.csv`.

A line is a value that was read in a paper or in released code, with the status of that reading, or
that no source has and is ours. Every recipe has a line for all that it sets, and one that claims a
source also for what the setting gives it.
"""

import csv
import functools
import tomllib
from pathlib import Path

import pytest

from keras_ccsam import recipes

pytestmark = pytest.mark.any_backend

FILE = Path(__file__).resolve().parents[2] / "docs" / "sourced-values.csv"
STATUS = {
    "C": "read in the released code or its configuration",
    "A": "read in the appendix of the CC-SAM paper",
    "R": "read in the README of the released code",
    "I": "read in an issue",
    "2": "from a secondary source",
    "O": "ours: no source has it",
}
METHODS = Path(recipes.__file__).parent / "methods"
SAID = {"base", "description", "variant", "source", "readings", "differs", "note"}
# What the setting gives where a recipe says nothing: of a source it is a claim, too.
CORE = {
    *("stage1.epochs", "stage1.batch_size", "stage1.lr", "stage1.momentum", "stage1.mixup"),
    *("stage1.weight_decay", "stage1.warmup_epochs"),
}


@functools.cache
def lines():
    with FILE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def recipe(name, data, ratio):
    return recipes.load(name, data, [f"data.imbalance_ratio={ratio}"]).to_dict()


def test_every_recipe_holds_its_sourced_values():
    wrong = []
    for line in lines():
        found = recipe(line["recipe"], line["data"], line["imbalance_ratio"])
        for key in line["key"].split("."):
            if key.isdigit() and isinstance(found, list | tuple):
                found = found[int(key)]
            else:
                found = found.get(key) if isinstance(found, dict) else None
        value = tomllib.loads(f"value = {line['value']}")["value"]
        if found != value or isinstance(found, bool) != isinstance(value, bool):
            wrong.append(f"{line['recipe']} on {line['data']}: {line['key']} {found!r}, {line}")
    assert not wrong, "\n".join(wrong)


def test_every_line_is_one_and_says_where_it_was_read():
    keys = [(x["recipe"], x["data"], x["imbalance_ratio"], x["key"]) for x in lines()]
    assert len(set(keys)) == len(keys) > 300
    assert {line["status"] for line in lines()} <= set(STATUS)
    assert all(line["source"] for line in lines())


@functools.cache
def written(name):
    """A recipe's own file."""
    return tomllib.loads((METHODS / f"{name}.toml").read_text(encoding="utf-8"))


def flat(values, path=""):
    """`stage1.lr` and so on, without which part is taken: that is the method itself."""
    for key, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = {str(place): table for place, table in enumerate(value)}
        if isinstance(value, dict):
            yield from flat(value, f"{path}{key}.")
        elif key != "name":
            yield f"{path}{key}"


def claims(name):
    """What a recipe sets on published sets, and so what its lines must cover: (set or None, key).

    The settings at a tenth of the epochs and the digits are no one's but ours.
    """
    own = {key: value for key, value in written(name).items() if key not in (*SAID, "on")}
    found = {(None, key) for key in flat(own)}
    for data, values in written(name).get("on", {}).items():
        if not data.endswith("-small") and data != "digits-lt":
            found |= {(data.split()[0], key) for key in flat(values)}
    return found


SOURCED = [name for name in recipes.names() if recipes.load(name).variant != "recommended"]


def without(name, sets):
    """What a recipe sets, as `claims` gives it, that none of its lines has."""
    there = {(line["data"], line["key"]) for line in lines() if line["recipe"] == name}
    keys = {key for _, key in there}

    def has(key):
        """A line of its own, of what is in it, or of what it is in; `lr_factor` is none of `lr`."""
        return any(f"{k}.".startswith(f"{key}.") or key.startswith(f"{k}.") for k in keys)

    return {(data, key) for data, key in sets if not ((data, key) in there if data else has(key))}


@pytest.mark.parametrize("name", recipes.names())
def test_everything_that_a_recipe_sets_has_a_line(name):
    assert not without(name, claims(name)), f"add what {name} sets to docs/sourced-values.csv"


def test_a_value_without_a_line_is_seen():
    assert claims("proco") >= {(None, "stage1.terms.0.temperature")}
    assert without("proco", {(None, "stage1.terms.0.margin")})
    assert without("proco", {("imagenet-lt", "stage1.lr")})
    # mislas has a line for stage2.lr_factor.
    assert without("mislas", {(None, "stage2.lr_fact")})
    assert not without("wb", {(None, "stage2.callbacks.0.share")})


@pytest.mark.parametrize("name", SOURCED)
def test_what_the_setting_gives_a_sourced_recipe_has_a_line(name):
    keys, base = set(), name
    while base:
        keys |= {line["key"] for line in lines() if line["recipe"] == base}
        base = written(base).get("base")
    assert keys >= CORE
    if "stage2" in written(name):
        assert keys >= {"stage2.epochs", "stage2.lr"}
