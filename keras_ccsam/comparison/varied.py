"""A recipe with some values changed, under a name that says what was changed."""

import json
import re
from collections.abc import Sequence

from keras_ccsam import recipes
from keras_ccsam.recipes import Recipe


def varied_name(name: str, overrides: Sequence[str]) -> str:
    """`ccsam-radius_scale-1e-3` of ccsam and `stage1.method.radius_scale=1e-3`."""
    return "-".join((name, *map(_compact, overrides)))


def renamed(recipe: Recipe, name: str) -> Recipe:
    """Return the recipe under another name."""
    return recipes.override(recipe, f"name={json.dumps(name)}")


def _compact(override: str) -> str:
    """`radius_scale-1e-3` of `stage1.method.radius_scale=1e-3`, as a folder may be called."""
    key, _, value = override.partition("=")
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{key.strip().rpartition('.')[2]}-{value.strip()}")
