"""Recipes by name: a dataset's setting, below a method, below the user's own choices.

    schema defaults < setting < method < method's table for the dataset < user file < overrides

Settings and methods are TOML files beside this module: adding a file adds a name.
"""

import os
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from keras_ccsam.recipes import known, toml
from keras_ccsam.recipes.errors import keys, suggestion
from keras_ccsam.recipes.schema import Recipe

# A table whose meaning hangs on one of its keys: when that changes, what it ruled is dropped,
# because the radius of one method says nothing about another's.
_TAGS = {
    ("stage1", "method"): "name",
    ("stage1", "loss"): "name",
    ("stage2", "loss"): "name",
    ("posthoc",): "name",
    ("groups",): "rule",
}
# Tables that may be absent: `--set stage1.average=none` leaves one out.
_OPTIONAL = (
    ("model", "spectral_norm"),
    ("stage1", "reweight"),
    ("stage1", "resample"),
    ("stage1", "average"),
    ("stage1", "translate"),
    ("stage2", "average"),
    ("stage2", "loss"),
    ("posthoc",),
)


def names() -> tuple[str, ...]:
    """Return the names of the methods that come with the package."""
    return known.stems("methods")


def settings() -> tuple[str, ...]:
    """Return the names of the datasets' settings that come with the package."""
    return known.stems("settings")


def load(
    name_or_path: str | os.PathLike[str],
    data: str | None = None,
    overrides: Iterable[str] = (),
) -> Recipe:
    """Put a recipe together.

    Args:
        name_or_path: a name from `names()`, or a TOML file: a `recipe.toml` of an earlier run, or
            a few keys of one's own, with `base = "<name>"` for the method they change.
        data: a name from `settings()`; by default the recipe's own, else `"digits-lt"`.
        overrides: `"stage1.epochs=20"`: dotted key and a TOML value; bare words are strings.
            `"stage2=none"` leaves the second stage out; only a method or a file adds one. `none`
            leaves out any other table that may be absent too, as in `"stage1.average=none"`.

    Raises:
        ValueError: unknown name or key (with the closest match), missing or broken file, a value
            out of its range, or an override of the second stage of a recipe that has none.
    """
    user, method = _sources(name_or_path)
    chosen = _overrides(overrides)
    setting = _setting(data, chosen, user, method)
    defaults = _builtin("settings", setting)
    dataset = defaults.get("data", {}).get("name", setting)
    special = method.pop("on", {})
    layers = [method, *(special.get(key, {}) for key in dict.fromkeys((dataset, setting)))]
    if data is not None:
        user = merge(user, {"data": {"name": dataset}})
    layers.append(user)
    values = merge({"name": Path(name_or_path).stem}, defaults)
    for layer in layers:
        values = merge(values, layer)
    # A setting says how a second stage would run on its dataset, a method whether there is one.
    if not any("stage2" in layer for layer in layers):
        values.pop("stage2", None)
    values = _override(values, chosen)
    values["setting"] = setting
    return Recipe.from_dict(values)


def load_several(
    names_or_paths: Iterable[str | os.PathLike[str]],
    data: str | None = None,
    overrides: Iterable[str] = (),
) -> tuple[tuple[Recipe, ...], tuple[str, ...]]:
    """Put several recipes together with the same overrides.

    Overrides of `stage2` go to the recipes that have a second stage.

    Args:
        names_or_paths: as `name_or_path` in `load`, for each.
        data: as in `load`.
        overrides: as in `load`.

    Returns:
        The recipes, and the names of those that overrides of `stage2` were not applied to.

    Raises:
        ValueError: as `load`, also where there are such overrides and no recipe has a second stage.
    """
    overrides = _listed(overrides)
    others = [text for text in overrides if not _of_stage2(text)]
    names = [os.fspath(name) for name in names_or_paths]
    plain = [load(name, data, others) for name in names]
    without = [recipe.name for recipe in plain if recipe.stage2 is None]
    if len(others) == len(overrides):
        return tuple(plain), ()
    # Where none has a second stage, `load` says what is wrong.
    every = len(without) == len(plain)
    found = tuple(
        recipe if recipe.stage2 is None and not every else load(name, data, overrides)
        for name, recipe in zip(names, plain, strict=True)
    )
    # Leaving out a stage that is not there is nothing to tell.
    told = not _is_none(_overrides(overrides)["stage2"])
    return found, tuple(without) if told else ()


def override(recipe: Recipe, *overrides: str) -> Recipe:
    """Return `recipe` with other values, validated anew; same form as in `load`."""
    return Recipe.from_dict(_override(recipe.to_dict(), _overrides(overrides)))


def merge(
    base: Mapping[str, Any], over: Mapping[str, Any], path: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Return `base` with `over` laid on it, table by table."""
    merged = dict(base)
    for key, item in over.items():
        here = (*path, key)
        tag = _TAGS.get(here)
        absent = here in _OPTIONAL and _is_none(item)
        if tag and isinstance(item, str) and not absent:
            item = {tag: item}  # stage1.method = "sam"
        below = merged.get(key)
        if not isinstance(item, Mapping) or not isinstance(below, Mapping):
            merged[key] = merge({}, item, here) if isinstance(item, Mapping) else item
        elif tag and tag in below and item.get(tag, below[tag]) != below[tag]:
            merged[key] = dict(item)
        else:
            if here == ("model",) and item.get("backbone", below.get("backbone")) != below.get(
                "backbone"
            ):
                below = {k: v for k, v in below.items() if k != "options"}
            merged[key] = merge(below, item, here)
    return merged


def _override(values: dict[str, Any], chosen: dict[str, Any]) -> dict[str, Any]:
    """Lay overrides on a recipe's values; they change or drop a second stage, and add none."""
    has_one = not _is_none(values.get("stage2"))
    second = chosen.get("stage2")
    if not has_one and not _is_none(second):
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
    if _is_none(values.get("stage2")):
        values.pop("stage2", None)
    for *above, key in _OPTIONAL:
        table = values
        for name in above:
            table = table.get(name) or {}
        if key in table and _is_none(table[key]):
            table.pop(key)
    return values


def _is_none(stage: Any) -> bool:
    return stage in (None, "none", False)


def _of_stage2(override: str) -> bool:
    return override.partition("=")[0].partition(".")[0].strip() == "stage2"


def _listed(overrides: Iterable[str]) -> tuple[str, ...]:
    return (overrides,) if isinstance(overrides, str) else tuple(overrides)


def _sources(name_or_path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the user's layer and the method's."""
    name = os.fspath(name_or_path)
    path = known.user_file(name)
    if path is None:
        return {}, _builtin("methods", name)
    user = toml.parse(known.read(path), str(path))
    base = user.pop("base", None)
    if base is None:
        return user, {}
    if base not in names():
        close = known.listed(base, "methods")
        raise ValueError(f"unknown base of {name} {close}. Received: base={base!r}")
    return user, _builtin("methods", base) | {"name": path.stem, "variant": "default"}


def _setting(data: str | None, *layers: Mapping[str, Any]) -> str:
    """The setting that is asked for, by the most specific of the layers that names one."""
    found = data
    for layer in layers:
        table = layer.get("data")
        dataset = table.get("name") if isinstance(table, Mapping) else None
        found = found or layer.get("setting") or dataset
    found = found or "digits-lt"
    known.check("data", found, "settings")
    return found


def _overrides(overrides: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    there = set(keys(Recipe))
    for text in _listed(overrides):
        key, value = toml.assignment(text)
        path = tuple(key.split("."))
        if key not in there and path[:2] != ("model", "options"):
            raise ValueError(
                f"unknown recipe key {key!r}{suggestion(path, Recipe)} Received: {text.strip()}"
            )
        nested: Any = value
        for part in reversed(path):
            nested = {part: nested}
        values = merge(values, nested)
    return values


def _builtin(folder: str, name: str) -> dict[str, Any]:
    file = resources.files(__package__).joinpath(folder, f"{name}.toml")
    values = toml.parse(file.read_text(encoding="utf-8"), f"{folder}/{name}.toml")
    return {"name": name} | values if folder == "methods" else values
