"""What a sweep would train: one recipe at several values of one of its keys."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_ccsam import recipes
from keras_ccsam.comparison.plan import ComparisonPlan, plan_comparison
from keras_ccsam.comparison.varied import renamed, varied_name
from keras_ccsam.hints import did_you_mean
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.folders import PathLike

VALUES = {"stage1.method.radius_scale": ("1e-1", "1e-2", "1e-3", "1e-4", "1e-5", "1e-6", "1e-7")}
"""What is swept where no values are given: the appendix' Figure 1."""

VALIDATION_FRACTION = 0.1
"""What is cut off for validation where the recipe cuts nothing."""

# Where a key without dots is looked for, in this order.
_TABLES = ("stage1.method", "stage1", "stage2", "stage1.loss")


@dataclasses.dataclass(frozen=True)
class SweepPlan:
    """A sweep with everything chosen and nothing trained.

    Attributes:
        key: the recipe's, in full.
        values: as TOML writes them.
        base: the recipe that is varied.
        plan: the comparison of its variants, in the order of the values.
        cut_here: whether the validation split is the sweep's, and not the recipe's own.
    """

    key: str
    values: tuple[str, ...]
    base: Recipe
    plan: ComparisonPlan
    cut_here: bool

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before relying on the numbers."""
        if not self.cut_here:
            return ()
        return (
            "the recipe cuts no validation split: "
            f"data.validation_fraction={VALIDATION_FRACTION:g} of each training class is taken, "
            "and what is recommended is chosen on it",
        )

    def text(self) -> str:
        """Return what would be trained, as text."""
        facts = [
            f"sweep     {self.key} of {self.base.name}: {', '.join(self.values)}",
            f"choice    on the validation split, {self.base.data.validation_fraction:g} of each "
            "training class, by balanced accuracy",
        ]
        return "\n".join([*facts, self.plan.text()])

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        return {
            **self.plan.to_dict(),
            "kind": "sweep plan",
            "key": self.key,
            "values": list(self.values),
            "recipe": self.base.name,
            "validation_fraction": self.base.data.validation_fraction,
            "notes": [*self.notes, *self.plan.notes],
        }


def plan_sweep(
    key: str,
    values: Sequence[str | float] | None = None,
    recipe: str = "ccsam",
    *,
    data: str | None = None,
    overrides: Sequence[str] = (),
    seeds: Sequence[int] | int = 3,
    out: PathLike | None = None,
) -> SweepPlan:
    """Choose everything that `sweep` would train; same arguments. No data is read.

    Raises:
        ValueError: an unknown key or recipe, no values or equal ones, a value out of its range, or
            a folder with anything else in it.
    """
    base = recipes.load(recipe, data, overrides)
    cut_here = not base.data.validation_fraction
    if cut_here:
        overrides = (*overrides, f"data.validation_fraction={VALIDATION_FRACTION:g}")
        base = recipes.load(recipe, data, overrides)
    key = _full_key(key, base)
    given: Sequence[str | float] = VALUES.get(key, ()) if values is None else values
    written = tuple(str(value).strip() for value in given)
    if not all(written) or len(written) < 2:
        raise ValueError(
            f"a sweep needs two values of {key} or more, as in --values 1e-1,1e-2. "
            f"Received: values={list(written)}"
        )
    chosen: dict[str, Recipe] = {}
    for value in written:
        variant = recipes.load(recipe, data, (*overrides, f"{key}={value}"))
        if variant.digest() in chosen:
            raise ValueError(f"each value may come once. Received: values={list(written)}")
        name = base.name
        # The same name as in `reproduce`, where a recipe at its own value keeps its name.
        if variant.digest() != base.digest():
            name = varied_name(name, [f"{key}={value}"])
        chosen[variant.digest()] = renamed(variant, name)
    last = key.rpartition(".")[2]
    folder = Path(f"runs/sweep-{last}-{base.name}-{base.setting}" if out is None else out)
    plan = plan_comparison(tuple(chosen.values()), seeds, folder)
    return SweepPlan(key, written, base, plan, cut_here)


def _full_key(key: str, recipe: Recipe) -> str:
    """The key with its tables: `stage1.method.radius_scale` of `radius_scale`."""
    if "." in key:
        return key  # the recipe says what is wrong with it
    found = {name: _table(recipe.to_dict(), name) for name in _TABLES}
    for table, options in found.items():
        if key in options:
            return f"{table}.{key}"
    known = [name for options in found.values() for name in options]
    if key == "seed":
        raise ValueError(
            "each value of a sweep is trained with several seeds: say how many with seeds "
            f"(--seeds). Received: key={key!r}"
        )
    raise ValueError(
        f"{recipe.name} has no such value{did_you_mean(key, known)}; name it in full, as in "
        f"stage1.method.radius_scale. Received: key={key!r}"
    )


def _table(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """The plain values of a table; none where the recipe lacks it."""
    for part in path.split("."):
        found = values.get(part, {})
        values = found if isinstance(found, Mapping) else {}
    return {name: value for name, value in values.items() if not isinstance(value, Mapping)}
