"""A default that a docstring repeats in words is the one of the signature."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.any_backend

LIBRARY = Path(__file__).resolve().parents[2] / "keras_ccsam"
# `0.05 by default`, and `"train"` (default).
SAID = re.compile(r"(?:(?<![\w.])([\d.]+(?:e-?\d+)?)\]? by default|``?\"(\w+)\"``? \(default)")
ENTRY = re.compile(r"^ {4,8}(\w+): (.*(?:\n {12,}.*)*)", re.MULTILINE)


def defaults(node: ast.FunctionDef | ast.ClassDef) -> dict[str, object]:
    """The literal defaults of a function, or of a class' constructor or fields."""
    found: dict[str, object] = {}
    made: ast.stmt | None = node
    if isinstance(node, ast.ClassDef):
        for item in node.body:
            if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name) and item.value:
                found[item.target.id] = item.value
        made = next((f for f in node.body if getattr(f, "name", "") == "__init__"), None)
    if isinstance(made, ast.FunctionDef):
        names = [argument.arg for argument in (*made.args.posonlyargs, *made.args.args)]
        given = made.args.defaults
        found |= dict(zip(names[len(names) - len(given) :], given, strict=True))
        only = zip(made.args.kwonlyargs, made.args.kw_defaults, strict=True)
        found |= {argument.arg: value for argument, value in only if value is not None}
    return {k: v.value for k, v in found.items() if isinstance(v, ast.Constant)}


def said(text: str) -> Iterator[tuple[str, str]]:
    """Each (argument, default) that the docstring tells."""
    for name, words in ENTRY.findall(text):
        for number, word in SAID.findall(words):
            yield name, number or word


def stale(source: str) -> tuple[int, list[str]]:
    """How many defaults a file's docstrings tell, and those that are others in the code."""
    told, wrong = 0, []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef):
            continue
        known = defaults(node)
        for name, value in said(ast.get_docstring(node, clean=False) or ""):
            # None stands for a default that is found out later.
            if known.get(name) is None:
                continue
            told += 1
            same = (
                value == known[name]
                if isinstance(known[name], str)
                else float(value) == known[name]
            )
            if not same:
                wrong.append(f"{node.name}({name}={known[name]!r}) is said to be {value}")
    return told, wrong


def test_no_docstring_tells_another_default_than_the_code() -> None:
    found = {path: stale(path.read_text(encoding="utf-8")) for path in LIBRARY.rglob("*.py")}
    assert sum(told for told, _ in found.values()) > 8, "nothing is compared"
    assert not {str(path): wrong for path, (_, wrong) in found.items() if wrong}


def test_another_default_would_be_noticed() -> None:
    code = (
        'def f(a: int = 3):\n    """F.\n\n    Args:\n        a: how many; 4 by default.\n    """\n'
    )
    assert stale(code) == (1, ["f(a=3) is said to be 4"])
    assert stale(code.replace("= 3", "= 4")) == (1, [])
