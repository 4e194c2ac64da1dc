"""What a recipe says before it is checked: its layers from the files, put together.

    schema defaults < setting < method < method's tables for the data < user file < overrides

A setting or a method of the package may name a `base`, another one that it changes. A method's
tables for the data are below `on`: first that of the dataset, then that of the setting, and last
that of the dataset at an imbalance ratio: `[on."cifar10-lt ratio 50".stage2]`.

It needs pydantic and no Keras: the command line asks it before Keras is imported.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from keras_ccsam.data.sources.recognise import KINDS, recognise
from keras_ccsam.recipes import known, toml
from keras_ccsam.recipes.errors import default_part, slots
from keras_ccsam.recipes.layers import is_none, listed, merge, overridden, read_overrides
from keras_ccsam.recipes.slot import Slot

# What a file says of itself.
_SAID = ("description", "variant", "source", "readings", "differs", "note")

N = TypeVar("N")
R = TypeVar("R")


def composed(
    name_or_path: str | os.PathLike[str],
    data: str | None,
    overrides: Iterable[str],
    schema: type[BaseModel],
) -> dict[str, Any]:
    """Return the values of a recipe, as TOML gives them.

    Args:
        name_or_path, data, overrides: as `library.load` has them.
        schema: what recipes may say.

    Raises:
        ValueError: unknown name or key (with the closest match), missing or broken file, or an
            override of the second stage of a recipe that has none.
    """
    user, method = _sources(name_or_path)
    chosen = read_overrides(overrides, schema)
    path = None
    if data is not None and known.is_path(data):
        found = recognise(data)
        data, path = found.kind, os.path.abspath(found.path)
    setting = _setting(data, chosen, user, method)
    defaults = _builtin("settings", setting)
    dataset = defaults.get("data", {}).get("name", setting)
    special = method.pop("on", {})
    ratio = _ratio(chosen, user, method, defaults)
    places = (dataset, *_lineage("settings", setting), f"{dataset} ratio {ratio}")
    layers = [method, *(special.get(place, {}) for place in dict.fromkeys(places))]
    own = next(filter(known.is_own_data, _data_named(data, chosen, user, method)), None)
    if own is not None:
        defaults["data"] = {"name": own, "imbalance_ratio": "none"}
    if data is not None:
        user = merge(user, {"data": {"name": own or dataset}})
    if path is not None:
        user = merge(user, {"data": {"path": path}})
    layers.append(user)
    values = merge({"name": Path(name_or_path).stem}, defaults)
    for layer in layers:
        values = merge(values, layer)
    # A setting says how a second stage would run on its dataset, a method whether there is one.
    if not any("stage2" in layer for layer in layers):
        values.pop("stage2", None)
    values = overridden(values, chosen)
    values["setting"] = setting
    return named(values, schema)


def named(values: dict[str, Any], schema: type[BaseModel]) -> dict[str, Any]:
    """Return the values with the name of every part that they give options and no name.

    It is the schema's default: `stage1.loss.head = 3` alone is said of cross-entropy.
    """
    for path, _ in slots(schema):
        table = _at(path, values)
        default = default_part(schema, path)
        if default and isinstance(table, Mapping) and "name" not in table:
            over: Any = {"name": default, **table}
            for key in reversed(path):
                over = {key: over}
            values = merge(values, over)
    return values


def named_parts(
    values: Mapping[str, Any], schema: type[BaseModel]
) -> Iterator[tuple[tuple[str, ...], Slot, object]]:
    """Yield place, slot and name of every part that a recipe's values name."""
    for path, slot in slots(schema):
        item = _at(path, values)
        for entry in item if isinstance(item, list) else [item]:
            yield path, slot, entry.get("name") if isinstance(entry, Mapping) else entry


def _at(path: tuple[str, ...], values: Any) -> Any:
    for key in path:
        values = values.get(key) if isinstance(values, Mapping) else None
    return values


def several(
    names: Iterable[N],
    overrides: Iterable[str],
    load: Callable[[N, tuple[str, ...]], R],
    has_stage2: Callable[[R], bool],
) -> tuple[tuple[R, ...], tuple[R, ...]]:
    """Load recipes with the same overrides; those of `stage2` go to those that have a second stage.

    Args:
        names: of the recipes, or whatever else `load` takes.
        overrides: as `library.load` has them.
        load: of a name and overrides.
        has_stage2: of what `load` returns.

    Returns:
        What was loaded, and those of it that overrides of `stage2` were not applied to.

    Raises:
        ValueError: as `load`, also where there are such overrides and no recipe has a second stage.
    """
    overrides = listed(overrides)
    others = tuple(text for text in overrides if not of_stage2(text))
    names = list(names)
    plain = tuple(load(name, others) for name in names)
    without = tuple(recipe for recipe in plain if not has_stage2(recipe))
    if len(others) == len(overrides):
        return plain, ()
    # Where none has a second stage, `load` says what is wrong.
    every = len(without) == len(plain)
    found = tuple(
        load(name, overrides) if every or has_stage2(recipe) else recipe
        for name, recipe in zip(names, plain, strict=True)
    )
    return found, without


def of_stage2(override: str) -> bool:
    """Whether an override is one of the second stage."""
    return override.partition("=")[0].partition(".")[0].strip() == "stage2"


def drops_stage2(overrides: Iterable[str], schema: type[BaseModel]) -> bool:
    """Whether overrides leave the second stage out."""
    return is_none(read_overrides(overrides, schema).get("stage2"))


def _sources(name_or_path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the user's layer and the method's."""
    name = os.fspath(name_or_path)
    path = known.user_file(name)
    if path is None:
        return {}, _builtin("methods", name)
    user = toml.parse(known.read(path), str(path))
    if not user:  # as it is, it would be plain cross-entropy
        raise ValueError(
            'the recipe file says nothing: give it a key, such as base = "ccsam" for the method '
            f"that it changes. Received: recipe={name!r}"
        )
    base = user.pop("base", None)
    if base is None:
        return user, {}
    if base not in known.stems("methods"):
        close = known.listed(base, "methods")
        raise ValueError(f"unknown base of {name} {close}. Received: base={base!r}")
    method = {k: v for k, v in _builtin("methods", base).items() if k not in _SAID[1:]}
    return user, method | {"name": path.stem}


def _setting(data: str | None, *layers: Mapping[str, Any]) -> str:
    """The setting that is asked for, by the most specific of the layers that names one."""
    named = list(_data_named(data, *layers))
    files = any(name in KINDS for name in named)
    others = (name for name in named if not known.is_own_data(name))
    found = next(others, "images" if files else "digits-lt")
    known.check("data", found, "settings")
    return found


def _data_named(data: str | None, *layers: Mapping[str, Any]) -> Iterator[str]:
    """The settings and datasets that are asked for, the most specific one first."""
    if data is not None:
        yield data
    for layer in layers:
        table = layer.get("data")
        dataset = table.get("name") if isinstance(table, Mapping) else None
        yield from (str(name) for name in (layer.get("setting"), dataset) if name)


def _ratio(*layers: Mapping[str, Any]) -> str:
    """The imbalance ratio, by the most specific of the layers that names one: "100"."""
    for layer in layers:
        table = layer.get("data")
        found = table.get("imbalance_ratio") if isinstance(table, Mapping) else None
        if found is not None:
            return f"{found:g}" if isinstance(found, int | float) else str(found)
    return ""


def _builtin(folder: str, name: str) -> dict[str, Any]:
    """A file of the package, laid on those that it is based on."""
    values: dict[str, Any] = {}
    for each in _lineage(folder, name):
        # What a base is said to be is not said of this one.
        kept = {key: value for key, value in values.items() if key not in _SAID}
        values = merge(kept, _file(folder, each))
    values.pop("base", None)
    return {"name": name} | values if folder == "methods" else values


def _lineage(folder: str, name: str) -> tuple[str, ...]:
    """A file of the package after those that it is based on, the first of them first."""
    base = _file(folder, name).get("base")
    return (name,) if base is None else (*_lineage(folder, base), name)


def _file(folder: str, name: str) -> dict[str, Any]:
    return toml.parse(known.builtin(folder, name), f"{folder}/{name}.toml")
