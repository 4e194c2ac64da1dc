"""Writes the schema of recipes, as the package ships it for checks without Keras.

    python docs/recipe_schema.py            # writes keras_ccsam/recipes/schema.json
    python docs/recipe_schema.py --check    # exits with 1 where that is out of date

All of it comes from `Recipe` and from what the parts declare; `keras_ccsam/recipes/shipped.py`
reads it. A test holds that the file is this.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pydantic import AfterValidator, BaseModel
from pydantic.fields import FieldInfo

from keras_ccsam.closed_table import Table
from keras_ccsam.declare import KINDS, Part, parts, table
from keras_ccsam.recipes.errors import slots
from keras_ccsam.recipes.lists import explained
from keras_ccsam.recipes.schema import Recipe
from keras_ccsam.recipes.schema_base import RULES
from keras_ccsam.recipes.shipped import FILE
from keras_ccsam.recipes.slot import Slot

_PLAIN = {bool: "boolean", int: "whole number", float: "number", str: "text", type(None): "nothing"}
_WORDS = {"type", "one of", "any of", "list of", "items", "sequence of", "table", "slot"}
_LIMITS = ("ge", "gt", "le", "lt", "min_length", "pattern", "strict", "discriminator")


def written() -> str:
    """The content of the file."""
    tables: dict[str, Any] = {}
    _add(Recipe, tables)
    bases = {slot.kind: slot.base for _, slot in slots(Recipe)}
    found = {
        kind: {
            part.name: _part(part, bases.get(kind, Table), tables) for part in ours(kind).values()
        }
        for kind in KINDS
    }
    content = {"parts": found, "tables": tables}
    return _shown(content) + "\n"


def _shown(content: Any, depth: int = 0) -> str:
    """JSON with a line for each key of a table, so that a change is easy to see."""
    if not isinstance(content, dict) or depth == 5 or not content.keys().isdisjoint(_WORDS):
        return json.dumps(content)
    inner = (f"{json.dumps(key)}: {_shown(item, depth + 1)}" for key, item in content.items())
    return "{\n" + ",\n".join(" " * (depth + 1) + line for line in inner) + "\n" + " " * depth + "}"


def ours(kind: str) -> dict[str, Part]:
    """The package's own parts: not those of a test, or of somebody else's package."""
    every = parts(kind).items()
    return {name: part for name, part in every if part.make.__module__.startswith("keras_ccsam.")}


def _part(part: Part, base: type[Table], tables: dict[str, Any]) -> dict[str, Any]:
    return {
        "arguments": [name for name in part.arguments if name not in part.options],
        "options": _fields(table(part, base), tables),
    }


def _add(made: type[BaseModel], tables: dict[str, Any]) -> str:
    """Put a table among the others, and those below it; return its name."""
    name = made.__name__
    if name not in tables:
        tables[name] = {}
        tables[name] |= _fields(made, tables)
    return name


def _fields(made: type[BaseModel], tables: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, field in made.model_fields.items():
        said = _said(field.annotation, (*field.metadata, field), tables)
        if field.is_required():
            said["required"] = True
        elif "slot" in said and hasattr(field.default, "name"):
            said["default"] = field.default.name
        if not {"list of", "items", "sequence of"}.isdisjoint(_words(said)):  # for its error
            if isinstance(field.default, tuple) and field.default:
                said["example"] = field.default
            elif explained(field):
                said["about"] = explained(field)
        found[name] = said
    return found


def _words(said: dict[str, Any]) -> set[str]:
    """The words of a type, and of those that it may be."""
    return {*said, *(word for choice in said.get("any of", ()) for word in choice)}


def _said(kind: Any, marks: tuple[Any, ...], tables: dict[str, Any]) -> dict[str, Any]:
    """A type and what is added to it, as the file says it."""
    while get_origin(kind) is Annotated:
        kind, *added = get_args(kind)
        marks = (*added, *marks)
    flat = list(_flat(marks))
    slot = next((mark for mark in flat if isinstance(mark, Slot)), None)
    if slot is not None:
        base = {"base": _add(slot.base, tables)} if slot.base is not Table else {}
        return {"slot": slot.kind, **base, **({"bare": True} if slot.bare else {})}
    said = _type(kind, tables)
    limits = {
        name: getattr(mark, name)
        for mark in flat
        for name in _LIMITS
        if getattr(mark, name, None) is not None
    }
    if limits:
        said["limits"] = limits
    rules = [mark.func for mark in flat if isinstance(mark, AfterValidator)]
    if not set(rules) <= set(RULES.values()):
        raise TypeError(f"give the rule a place in schema_base.RULES: {rules}")
    if rules:
        said["rules"] = [name for name, rule in RULES.items() if rule in rules]
    return said


def _type(kind: Any, tables: dict[str, Any]) -> dict[str, Any]:
    origin, inner = get_origin(kind), get_args(kind)
    if kind in _PLAIN:
        return {"type": _PLAIN[kind]}
    if origin is Literal:
        return {"one of": list(inner)}
    if origin in (Union, UnionType):
        return {"any of": [_said(choice, (), tables) for choice in inner]}
    if origin is tuple and inner[1:] == (...,):
        return {"list of": _said(inner[0], (), tables)}
    if origin is tuple:
        return {"items": [_said(item, (), tables) for item in inner]}
    if origin is Sequence:
        return {"sequence of": _said(inner[0], (), tables)}
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return {"table": _add(kind, tables)}
    raise TypeError(f"the file has no words for the type {kind}")


def _flat(marks: tuple[Any, ...]) -> Iterator[Any]:
    for mark in marks:
        yield mark
        if isinstance(mark, FieldInfo):
            yield from mark.metadata


def main() -> int:
    """Write the file, or compare it with what is there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    text = written()
    if parser.parse_args().check:
        there = FILE.read_text(encoding="utf-8") if FILE.is_file() else ""
        print("up to date" if there == text else f"out of date: {FILE.name}; make docs")
        return int(there != text)
    FILE.write_text(text, encoding="utf-8", newline="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
