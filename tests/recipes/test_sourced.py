"""The recipes hold what their sources say, value by value: `docs/sourced-values.csv`.

A line is a value that was read in a paper or in released code, with the status of that reading. A
recipe that takes another value says so in its `readings` or `differs`, and has no line here.
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


def test_what_claims_a_source_has_lines():
    """Every published recipe, but those that are parts of another one with lines."""
    there = {line["recipe"] for line in lines()}
    parts = {"ccsam-stage1-published", "ccsam-stage2-published"}
    published = {n for n in recipes.names() if recipes.load(n).variant == "published"}
    assert published - parts <= there
