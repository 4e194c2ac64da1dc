"""Recipes by name: a dataset's setting, below a method, below the user's own choices.

    schema defaults < setting < method < method's table for the dataset < user file < overrides

Settings and methods are TOML files beside this module: adding a file adds a name.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from keras_ccsam.recipes import known, outside, toml
from keras_ccsam.recipes.errors import slots
from keras_ccsam.recipes.layers import is_none, listed, merge, overridden, read_overrides
from keras_ccsam.recipes.schema import Recipe


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

    A part that the file or an override names as `"module:Class"` is imported, which runs its
    module. Modules beside the file are found, then those of the working folder, then installed
    ones.

    Args:
        name_or_path: a name from `names()`, or a TOML file: a `recipe.toml` of an earlier run, or
            a few keys of one's own, with `base = "<name>"` for the method they change.
        data: a name from `settings()`; by default the recipe's own, else `"digits-lt"`. A dataset
            from outside, such as `"my_lab.birds:birds"`, is taken with the tail that it has, and
            with the network and the schedule of the recipe's `setting`.
        overrides: `"stage1.epochs=20"`: dotted key and a TOML value; bare words are strings.
            `"stage2=none"` leaves the second stage out; only a method or a file adds one. `none`
            leaves out any other table that may be absent too, as in `"stage1.average=none"`.

    Raises:
        ValueError: unknown name or key (with the closest match), missing or broken file, a value
            out of its range, a part from outside that cannot be imported, or an override of the
            second stage of a recipe that has none.
    """
    user, method = _sources(name_or_path)
    chosen = read_overrides(overrides)
    setting = _setting(data, chosen, user, method)
    defaults = _builtin("settings", setting)
    dataset = defaults.get("data", {}).get("name", setting)
    special = method.pop("on", {})
    layers = [method, *(special.get(key, {}) for key in dict.fromkeys((dataset, setting)))]
    own = next(filter(known.is_own_data, _data_named(data, chosen, user, method)), None)
    if own is not None:
        defaults["data"] = {"name": own, "imbalance_ratio": "none"}
    if data is not None:
        user = merge(user, {"data": {"name": own or dataset}})
    layers.append(user)
    values = merge({"name": Path(name_or_path).stem}, defaults)
    for layer in layers:
        values = merge(values, layer)
    # A setting says how a second stage would run on its dataset, a method whether there is one.
    if not any("stage2" in layer for layer in layers):
        values.pop("stage2", None)
    values = overridden(values, chosen)
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
    overrides = listed(overrides)
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
    told = not is_none(read_overrides(overrides)["stage2"])
    return found, tuple(without) if told else ()


def override(recipe: Recipe, *overrides: str) -> Recipe:
    """Return `recipe` with other values, validated anew; same form as in `load`."""
    chosen = read_overrides(overrides)
    import_outside(chosen, [Path.cwd()])
    return Recipe.from_dict(overridden(recipe.to_dict(), chosen))


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
        for entry in item if isinstance(item, list) else [item]:
            name = entry.get("name") if isinstance(entry, Mapping) else entry
            if not known.is_dotted(name):
                continue
            try:
                outside.import_part(slot.kind, name, folders)
            except ValueError as error:
                said = str(error).replace("Received: name=", f"Received: {'.'.join(path)}=")
                raise ValueError(said) from error


def _folder(name_or_path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """The folder of a recipe's file; none for a name of the package."""
    is_file = os.fspath(name_or_path) not in names() and Path(name_or_path).is_file()
    return (Path(name_or_path).resolve().parent,) if is_file else ()


def _of_stage2(override: str) -> bool:
    return override.partition("=")[0].partition(".")[0].strip() == "stage2"


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
    named = (name for name in _data_named(data, *layers) if not known.is_own_data(name))
    found = next(named, "digits-lt")
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


def _builtin(folder: str, name: str) -> dict[str, Any]:
    file = resources.files(__package__).joinpath(folder, f"{name}.toml")
    values = toml.parse(file.read_text(encoding="utf-8"), f"{folder}/{name}.toml")
    return {"name": name} | values if folder == "methods" else values
