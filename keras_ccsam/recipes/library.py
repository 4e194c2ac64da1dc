"""Recipes by name: a dataset's setting, below a method, below the user's own choices.

Settings and methods are TOML files beside this module: adding a file adds a name.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ccsam.recipes import known, outside
from keras_ccsam.recipes.composing import composed, drops_stage2, named, named_parts, several
from keras_ccsam.recipes.layers import listed, overridden, read_overrides
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
    values = composed(name_or_path, data, overrides, Recipe)
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
    found, without = several(
        [os.fspath(name) for name in names_or_paths],
        overrides,
        lambda name, changes: load(name, data, changes),
        lambda recipe: recipe.stage2 is not None,
    )
    # Leaving out a stage that is not there is nothing to tell.
    told = without and not drops_stage2(overrides, Recipe)
    return found, tuple(recipe.name for recipe in without) if told else ()


def override(recipe: Recipe, *overrides: str) -> Recipe:
    """Return `recipe` with other values, validated anew; same form as in `load`."""
    chosen = read_overrides(overrides, Recipe)
    import_outside(chosen, [Path.cwd()])
    return Recipe.from_dict(named(overridden(recipe.to_dict(), chosen), Recipe))


def import_outside(values: Mapping[str, Any], folders: Sequence[Path]) -> None:
    """Import every part from outside ("module:Class") that a recipe names, which runs its code.

    Args:
        values: of a recipe, or some of them, as TOML gives them.
        folders: where modules may lie beside where Python finds them.

    Raises:
        ValueError: a part cannot be imported, or is of another kind.
    """
    for path, slot, name in named_parts(values, Recipe):
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
