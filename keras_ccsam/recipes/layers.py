"""How the layers of a recipe are laid on each other, the user's overrides last.

It needs pydantic and no Keras: the command line asks it before Keras is imported.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from keras_ccsam.recipes import toml
from keras_ccsam.recipes.errors import keys, slots, suggestion
from keras_ccsam.text_table import shown

# A table whose meaning hangs on one of its keys: when that changes, what it ruled is dropped,
# because the radius of one method says nothing about another's.
_TAGS = {
    ("model", "backbone"): "name",
    ("model", "head"): "name",
    ("model", "train"): "name",
    ("stage1", "method"): "name",
    ("stage1", "loss"): "name",
    ("stage2", "loss"): "name",
    ("posthoc",): "name",
    ("groups",): "rule",
}
# Of the data, what is no dataset's own: it stays when another dataset is taken.
OF_ANY_DATA = (
    "name",
    "imbalance_ratio",
    "profile",
    "protocol",
    "seed",
    "path",
    "validation_fraction",
)
# Tables that may be absent: `--set stage1.average=none` leaves one out.
_OPTIONAL = (
    ("model", "spectral_norm"),
    ("model", "weights"),
    ("model", "train"),
    ("stage1", "head_lr_factor"),
    ("stage1", "reweight"),
    ("stage1", "resample"),
    ("stage1", "average"),
    ("stage1", "translate"),
    ("stage1", "callbacks"),
    ("stage2", "average"),
    ("stage2", "loss"),
    ("stage2", "callbacks"),
    ("posthoc",),
)


def merge(
    base: Mapping[str, Any], over: Mapping[str, Any], path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return `base` with `over` laid on it, table by table."""
    merged = dict(base)
    for key, item in over.items():
        here = (*path, key)
        tag = _TAGS.get(here)
        absent = here in _OPTIONAL and is_none(item)
        if tag and isinstance(item, str) and not absent:
            item = {tag: item}  # stage1.method = "sam"
        below = merged.get(key)
        if not isinstance(item, Mapping) or not isinstance(below, Mapping):
            merged[key] = merge({}, item, here) if isinstance(item, Mapping) else item
        elif tag and tag in below and item.get(tag, below[tag]) != below[tag]:
            merged[key] = dict(item)
        else:
            if here == ("data",) and item.get("name", below.get("name")) != below.get("name"):
                below = {k: v for k, v in below.items() if k in OF_ANY_DATA}
            merged[key] = merge(below, item, here)
    return merged


def read_overrides(overrides: Iterable[str], schema: type[BaseModel]) -> dict[str, Any]:
    """Return overrides such as `"stage1.epochs=20"` as nested tables.

    Raises:
        ValueError: one is not of that form, or names a key that no recipe has.
    """
    values: dict[str, Any] = {}
    there, places = set(keys(schema, of_parts=False)), {path for path, _ in slots(schema)}
    for text in listed(overrides):
        key, value = toml.assignment(text)
        path = tuple(key.split("."))
        # Of a slot, the part that is chosen in the end knows.
        if key not in there and path[:-1] not in places:
            raise ValueError(
                f"unknown recipe key {key!r}{suggestion(path, schema)} "
                f"Received: {shown(text.strip())}"
            )
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        values = merge(values, nested)
    return values


def overridden(values: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Lay overrides on a recipe's values; they change or drop a second stage, and add none.

    Raises:
        ValueError: they would add one.
    """
    has_one = not is_none(values.get("stage2"))
    second = chosen.get("stage2")
    if not has_one and not is_none(second):
        if isinstance(second, Mapping) and second:
            key, value = next(iter(second.items()))
            received = f"stage2.{key}={value}"
        else:
            received = f"stage2={second}"
        raise ValueError(
            f"the recipe {values['name']!r} has no second stage, and an override cannot add one: "
            "take one that has, such as 'crt' or 'ccsam', or write [stage2] into a TOML file of "
            f"your own. Received: {received}"
        )
    values = merge(values, chosen)
    if is_none(values.get("stage2")):
        values.pop("stage2", None)
    for *above, key in _OPTIONAL:
        table = values
        for name in above:
            # What is no table is refused, in words, when the recipe is validated.
            below = table.get(name)
            table = below if isinstance(below, dict) else {}
        if key in table and is_none(table[key]):
            table.pop(key)
    return values


def is_none(stage: Any) -> bool:
    """Whether a value leaves out the table in whose place it stands."""
    return stage in (None, "none", False)


def listed(overrides: Iterable[str]) -> tuple[str, ...]:
    """Return overrides one by one; a single one may be given as it is."""
    return (overrides,) if isinstance(overrides, str) else tuple(overrides)
