"""What somebody may have meant."""

import ast
from pathlib import Path

import pytest

import keras_ccsam
from keras_ccsam.hints import closest, did_you_mean, plain

pytestmark = pytest.mark.any_backend


def test_the_closest_name_is_found():
    assert closest("smapler", ["sampler", "sample", "same"]) == "sampler"
    assert closest("zzz", ["sampler"]) is None
    assert closest("zzz", ["sampler"], cutoff=0.0) == "sampler"
    assert closest("a", []) is None
    assert closest(3, ["3", "4"]) == "3"


def test_of_two_that_are_as_like_the_first_is_taken():
    assert closest("stagel", ["stage1", "stage2"]) == "stage1"
    assert closest("stagel", ["stage2", "stage1"]) == "stage2"
    # The better one wins, wherever it stands.
    assert closest("stage2", ["stage1", "stage2"]) == "stage2"


def test_the_question_is_asked_or_nothing_is_said():
    assert did_you_mean("smal", ("tiny", "small")) == "; did you mean 'small'?"
    assert did_you_mean("huge", ("tiny", "small")) == ""


def test_a_name_may_be_typed_in_other_ways():
    assert plain("ResNet-32_x") == plain("resnet32x") == "resnet32x"


def test_there_is_one_such_function():
    root = Path(keras_ccsam.__file__).parent
    users = set()
    for path in (*root.rglob("*.py"), *(root.parent / "cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import) and "difflib" in {alias.name for alias in node.names}:
                users.add(path.name)
            if isinstance(node, ast.ImportFrom) and node.module == "difflib":
                users.add(path.name)
    assert users == {"hints.py"}
