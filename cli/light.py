"""Files of the library that need the standard library alone, without importing the package.

Importing `keras_ccsam` imports Keras and its backend, which takes seconds. The names of recipes and
the state of a folder are known without them.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType


@cache
def library(name: str) -> ModuleType:
    """Run one file of the package by itself.

    Args:
        name: such as `recipes.known`; the file imports nothing but the standard library.

    Returns:
        A module of its own, apart from the one that `import keras_ccsam` makes.
    """
    place = _folder().joinpath(*name.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(f"_keras_ccsam_{name.replace('.', '_')}", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {place}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def imported() -> bool:
    """Whether the package is there already, and with it Keras: then it checks everything itself."""
    return "keras_ccsam" in sys.modules


def _folder() -> Path:
    """Where the package lies; finding a package that is not inside another one imports nothing."""
    spec = importlib.util.find_spec("keras_ccsam")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("keras_ccsam is not installed")
    return Path(spec.submodule_search_locations[0])
