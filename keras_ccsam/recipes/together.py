"""Whether recipes can stand in one table: on the same data, with the same groups of classes."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_ccsam.recipes import toml
from keras_ccsam.recipes.schema import Recipe


def check_together(recipes: Sequence[Recipe]) -> None:
    """Refuse recipes on different data or groups, and say what to type to have them alike.

    Raises:
        ValueError: names the first two recipes that differ, and every key in which any do.
    """
    first = recipes[0]
    other = next((r for r in recipes if (r.data, r.groups) != (first.data, first.groups)), None)
    if other is None:
        return
    if other.data.name != first.data.name:
        raise ValueError(
            "recipes can be compared on the same data and groups only; name the data for all with "
            f"--data. Received: {first.name} on {first.data_shown}, {other.name} on "
            f"{other.data_shown}"
        )
    # With another rule for groups go its own keys: only those of the first recipe's rule are set.
    wanted = _choices(first)
    differ = [
        key
        for key in dict.fromkeys(key for r in recipes for key in _choices(r))
        if key in wanted and any(_choices(r).get(key) != wanted[key] for r in recipes)
    ]
    typed = " ".join(f"--set {shlex.quote(_typed(key, wanted[key]))}" for key in differ)
    shown = ", ".join(f"{key}={_choices(other).get(key, 'none')}" for key in differ)
    raise ValueError(
        "recipes can be compared on the same data and groups only; to have all as "
        f"{first.name} has them, add {typed}. Received: {other.name} with {shown}"
    )


def _choices(recipe: Recipe) -> dict[str, Any]:
    """`{"data.protocol": "ldam", "groups.rule": "thirds"}` and so on."""
    values = recipe.to_dict()
    return dict(_flat({name: values[name] for name in ("data", "groups")}))


def _flat(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def _typed(key: str, value: Any) -> str:
    """`data.protocol=ldam`: words need no quotes there."""
    return f"{key}={value if isinstance(value, str) else toml.written(value)}"
