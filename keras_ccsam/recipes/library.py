"""Recipes by name: a dataset's setting, below a method, below the user's own choices.

    schema defaults < setting < method < method's table for the dataset < user file < overrides

Settings and methods are TOML files beside this module: adding a file adds a name.
"""

import difflib
import os
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from keras_ccsam.recipes import outside, toml
from keras_ccsam.recipes.errors import keys, slots, suggestion
from keras_ccsam.recipes.schema import Data, Recipe

# A table whose meaning hangs on one of its keys: when that changes, what it ruled is dropped,
# because the radius of one method says nothing about another's.
_TAGS = {
    ("model", "backbone"): "name",
    ("model", "head"): "name",
    ("stage1", "method"): "name",
    ("stage1", "loss"): "name",
    ("stage2", "loss"): "name",
    ("posthoc",): "name",
    ("groups",): "rule",
}
# Of the data, what is no dataset's own.
_OF_ANY_DATA = frozenset(Data.model_fields)
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
    return _stems("methods")


def settings() -> tuple[str, ...]:
    """Return the names of the datasets' settings that come with the package."""
    return _stems("settings")


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
    # The user named this file, or wrote these overrides: what they name may run.
    import_outside(values, [*_folder(name_or_path), Path.cwd()])
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
    chosen = _overrides(overrides)
    import_outside(chosen, [Path.cwd()])
    return Recipe.from_dict(_override(recipe.to_dict(), chosen))


def import_outside(values: Mapping[str, Any], folders: Sequence[Path]) -> None:
    """Import every part from outside ("module:Class") that a recipe names, which runs its code.

    Args:
        values: of a recipe, or some of them, as TOML gives them.
        folders: where modules may lie beside where Python finds them.

    Raises:
        ValueError: a part cannot be imported, or is of another kind.
    """
    for path, slot in slots(Recipe):
        item: Any = values
        for key in path:
            item = item.get(key) if isinstance(item, Mapping) else None
        name = item.get("name") if isinstance(item, Mapping) else item
        if isinstance(name, str) and outside.is_dotted(name):
            try:
                outside.import_part(slot.kind, name, folders)
            except ValueError as error:
                key = ".".join(path)
                raise ValueError(str(error).replace("Received: name=", f"Received: {key}=")) from (
                    error
                )


def _folder(name_or_path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The folder of a recipe's file; none for a name of the package."""
    is_file = os.fspath(name_or_path) not in names() and Path(name_or_path).is_file()
    return (Path(name_or_path).resolve().parent,) if is_file else ()


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
            if here == ("data",) and item.get("name", below.get("name")) != below.get("name"):
                below = {k: v for k, v in below.items() if k in _OF_ANY_DATA}
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
    if name in names():
        return {}, _builtin("methods", name)
    path = Path(name)
    if path.suffix != ".toml" and not path.is_file():
        raise ValueError(f"unknown recipe{_close(name, names())}. Received: recipe={name!r}")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise ValueError(f"cannot read the recipe file: {reason}. Received: recipe={name!r}") from (
            None
        )
    user = toml.parse(text, str(path))
    base = user.pop("base", None)
    if base is None:
        return user, {}
    if base not in names():
        raise ValueError(f"unknown base of {name}{_close(base, names())}. Received: base={base!r}")
    return user, _builtin("methods", base) | {"name": path.stem, "variant": "default"}


def _setting(data: str | None, *layers: Mapping[str, Any]) -> str:
    """The setting that is asked for, by the most specific of the layers that names one."""
    found = data
    for layer in layers:
        table = layer.get("data")
        dataset = table.get("name") if isinstance(table, Mapping) else None
        found = found or layer.get("setting") or dataset
    found = found or "digits-lt"
    if found not in settings():
        raise ValueError(f"unknown data{_close(found, settings())}. Received: data={found!r}")
    return found


def _overrides(overrides: Iterable[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    known, places = set(keys(Recipe)), {path for path, _ in slots(Recipe)}
    for text in _listed(overrides):
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise ValueError(
                f"an override reads key=value, as in stage1.epochs=20. Received: override={text!r}"
            )
        path = tuple(key.split("."))
        # Of a slot, the part that is chosen in the end knows.
        if key not in known and path[:-1] not in places:
            raise ValueError(
                f"unknown recipe key {key!r}{suggestion(path, Recipe)} Received: {key}={value}"
            )
        nested: Any = toml.value(value)
        for part in reversed(path):
            nested = {part: nested}
        values = merge(values, nested)
    return values


def _builtin(folder: str, name: str) -> dict[str, Any]:
    file = resources.files(__package__).joinpath(folder, f"{name}.toml")
    values = toml.parse(file.read_text(encoding="utf-8"), f"{folder}/{name}.toml")
    return {"name": name} | values if folder == "methods" else values


def _stems(folder: str) -> tuple[str, ...]:
    files = resources.files(__package__).joinpath(folder).iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


def _close(name: object, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(str(name), known, n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return f" {name!r}{hint} (known: {', '.join(known)})"
