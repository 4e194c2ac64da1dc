"""Which code from outside the package a run used, so that a reader can tell and find it again."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ccsam.recipes import Recipe, known, outside
from keras_ccsam.recipes.errors import slots


def describe(recipe: Recipe) -> dict[str, dict[str, str]]:
    """Return file and SHA-256 of the module of every part from outside, by the part's name."""
    found = {}
    for path, _ in slots(Recipe):
        item: Any = recipe
        for key in path:
            item = getattr(item, key, None)
        for entry in item if isinstance(item, tuple) else (item,):
            name = str(getattr(entry, "name", ""))
            file = outside.file_of(name) if known.is_dotted(name) else None
            if file is not None:
                found[name] = {"file": str(file.resolve()), "sha256": _digest(file)}
    return found


def folders(environment: Mapping[str, Any]) -> list[Path]:
    """Return the folders that the modules of a run were imported from."""
    found = []
    for name, code in _recorded(environment).items():
        file = Path(code["file"])
        depth = name.partition(":")[0].count(".") + (file.name == "__init__.py")
        found.append(file.parents[min(depth, len(file.parents) - 1)])
    return list(dict.fromkeys(found))


def changes(environment: Mapping[str, Any]) -> list[str]:
    """Say of which modules the code is no longer what the run was trained with."""
    found = []
    for name, code in _recorded(environment).items():
        file = outside.file_of(name)
        if file is not None and _digest(file) != code["sha256"]:
            found.append(f"{file} is not the code that the run was trained with ({name})")
    return found


def _recorded(environment: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    code = environment.get("code", {})
    if not isinstance(code, Mapping):
        return {}
    return {
        str(name): dict(entry)
        for name, entry in code.items()
        if isinstance(entry, Mapping) and {"file", "sha256"} <= set(entry)
    }


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
