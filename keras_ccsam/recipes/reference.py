"""What a reference page says of a part: all of it from what the part declares and its docstrings.

for entry in entries("sharpness"):
    print(entry.name, entry.summary, entry.formula)
    for option in entry.options:
        print(option.name, option.default, option.expected, option.description)
"""

import functools
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from keras_ccsam.declare import KINDS, Limit, Part, parts
from keras_ccsam.options import Option
from keras_ccsam.recipes import library, toml
from keras_ccsam.recipes.errors import slots
from keras_ccsam.recipes.schema import Recipe

# Callbacks with a table of their own in a stage.
_CALLBACKS = {
    "reweight": "deferred_reweighting",
    "average": "weight_averaging",
    "translate": "start_translation",
}


@dataclass(frozen=True)
class Entry:
    """One part.

    Attributes:
        kind: one of `declare.KINDS`.
        name: what recipes call it.
        summary: the first line of its docstring.
        formula: the docstring of its file: what it computes, and the source.
        text: its own docstring, arguments and errors included.
        options: in the constructor's order, each with name, default, range (`expected`),
            description, and whether a callback may change it.
        place: its import name: `"keras_ccsam.sharpness.sam.SAM"`.
        key: where a recipe names it: `"stage1.method"`; empty where no recipe does.
        recipes: the recipes of the package that use it.
        limit: where it becomes another part, and which; None where it says none.
    """

    kind: str
    name: str
    summary: str
    formula: str
    text: str
    options: tuple[Option, ...]
    place: str
    key: str
    recipes: tuple[str, ...]
    limit: Limit | None


def entries(kind: str) -> tuple[Entry, ...]:
    """The parts of a kind, in the order in which they were declared.

    Raises:
        KeyError: for another kind than those of `declare.KINDS`.
    """
    return tuple(_entry(part) for part in parts(kind).values())


def everything() -> dict[str, tuple[Entry, ...]]:
    """The parts of all kinds."""
    return {kind: entries(kind) for kind in KINDS}


def as_toml(option: Option) -> str:
    """An option's default as a recipe writes it; "absent" where it may be left out."""
    if option.default is inspect.Parameter.empty:
        return "required"
    if option.default is None:
        return "absent"
    return toml.written(option.default)


def _entry(part: Part) -> Entry:
    module = sys.modules.get(part.make.__module__)
    return Entry(
        kind=part.kind,
        name=part.name,
        summary=part.summary,
        formula=(module and inspect.getdoc(module)) or "",
        text=inspect.getdoc(part.make) or "",
        options=tuple(part.options.values()),
        place=f"{part.make.__module__}.{getattr(part.make, '__qualname__', part.name)}",
        key=next((".".join(path) for path, slot in slots(Recipe) if slot.kind == part.kind), ""),
        recipes=tuple(name for name in library.names() if (part.kind, part.name) in _used(name)),
        limit=part.limit,
    )


@functools.cache
def _used(name: str) -> frozenset[tuple[str, str]]:
    """Kind and name of every part that a recipe uses on its default dataset."""
    return frozenset(_parts_of(library.load(name)))


def _parts_of(recipe: Recipe) -> Iterator[tuple[str, str]]:
    for path, slot in slots(Recipe):
        item: object = recipe
        for key in path:
            item = getattr(item, key, None)
        # Some places hold a list, whose entries may be names alone.
        for entry in item if isinstance(item, tuple) else (item,):
            if entry is not None:
                yield slot.kind, str(getattr(entry, "name", entry))
    for stage in (recipe.stage1, recipe.stage2):
        for key, name in _CALLBACKS.items():
            if getattr(stage, key, None) is not None:
                yield "callback", name
    if recipe.stage2 is not None and recipe.stage2.adversarial:
        yield "sharpness", "adversarial_features"
