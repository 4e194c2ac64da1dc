"""The writer's output reads back as what went in; whole recipes' in test_library.py."""

import tomllib

import pytest

from keras_ccsam.recipes import toml

pytestmark = pytest.mark.any_backend


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


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "[" * 20_000 + "]" * 20_000,
        "x = " + "{a=" * 20_000 + "1" + "}" * 20_000,
        "a." * 20_000 + "a = 1",
        "[" + "a." * 20_000 + "a]",
        "[" + "a." * 33 + "a]",
        "x = " + "[" * 33 + "1" + "]" * 33,
    ],
)
def test_deep_nesting_is_refused(text):
    with pytest.raises(ValueError, match=r"32 deep, no deeper\. Received: source='deep\.toml'"):
        toml.parse(text, "deep.toml")


def test_nesting_that_recipes_may_have_is_not():
    assert toml.parse("x = " + "[" * 31 + "1" + "]" * 31, "s")
    assert toml.parse("[" + "a." * 30 + "a]", "s")
    assert toml.parse('x = """\n' + "a.b " * 50 + '\n"""', "s")


def test_numbers_beyond_64_bits_are_refused():
    assert toml.parse(f"x = {2**63 - 1}", "s") == {"x": 2**63 - 1}
    for text in (f"x = {2**63}", f"x = [[{-(2**63) - 1}]]"):
        with pytest.raises(ValueError, match="has 64 bits"):
            toml.parse(text, "s")
    with pytest.raises(ValueError, match="not valid TOML"):
        toml.parse("x = " + "9" * 5000, "s")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("stage1.epochs=20", "stage1.epochs", 20),
        (" a.b = word ", "a.b", "word"),
        ("a=.5", "a", 0.5),
        ("a=True", "a", True),
        ("a=[1, 2]", "a", [1, 2]),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
    ],
)
def test_an_override_is_read(text, key, value):
    assert toml.assignment(text) == (key, value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stage1.epochs", "reads key=value"),
        ("=3", "reads key=value"),
        ("a=99999999999999999999", "has 64 bits"),
        ("a=" + "[" * 20_000, "32 deep"),
        ("a." * 40 + "a=1", "32 deep"),
    ],
)
def test_an_override_that_is_none_is_refused(text, said):
    with pytest.raises(ValueError, match=said) as caught:
        toml.assignment(text)
    assert len(str(caught.value)) < 300
