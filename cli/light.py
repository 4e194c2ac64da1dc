"""Files of the library that are light, without importing the package.

Importing `keras_ccsam` imports Keras and its backend, which takes seconds. The names of recipes,
the state of a folder and the schema of recipes are known without them. Such a file imports the
standard library, pydantic at most, and other files of this kind.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

_PACKAGE = "keras_ccsam"
_modules: dict[str, ModuleType] = {}


@cache
def library(name: str) -> ModuleType:
    """Import one file of the package, and none of the `__init__.py` above it.

    Args:
        name: such as `recipes.known`.

    Returns:
        A module of its own, apart from the one that `import keras_ccsam` makes.
    """
    with _bare(name):
        return importlib.import_module(f"{_PACKAGE}.{name}")


def imported() -> bool:
    """Whether the package is there already, and with it Keras: then it checks everything itself."""
    return _PACKAGE in sys.modules


@contextmanager
def _bare(name: str) -> Iterator[None]:
    """Let the package's name stand for a package whose `__init__.py` is not run."""
    others = _taken()
    sys.modules.update(_modules)
    folders = name.split(".")[:-1]
    # Those of the library's light files that others of them import.
    others_of = ["data", "data.sources"]
    for place in ("", *others_of, *(".".join(folders[: n + 1]) for n in range(len(folders)))):
        parent = f"{_PACKAGE}.{place}".rstrip(".")
        if parent not in sys.modules:
            spec = ModuleSpec(parent, None, is_package=True)
            spec.submodule_search_locations = [str(_folder().joinpath(*place.split(".")))]
            sys.modules[parent] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        _modules.update(_taken())
        sys.modules.update(others)


def _taken() -> dict[str, ModuleType]:
    """Take what is imported of the package out of Python's table."""
    names = [name for name in sys.modules if name.partition(".")[0] == _PACKAGE]
    return {name: sys.modules.pop(name) for name in names}


@cache
def _folder() -> Path:
    """Where the package lies; finding a package that is not inside another one imports nothing."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{_PACKAGE} is not installed")
    return Path(spec.submodule_search_locations[0])
