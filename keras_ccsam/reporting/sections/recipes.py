"""Every choice of every method: first what differs, then the whole files."""

from typing import Any

from keras_ccsam.analysis.report.blocks import Block, Cell, Code, Column, Details, Section, Table
from keras_ccsam.reporting.found_runs import Runs, flattened
from keras_ccsam.reporting.wording import NONE

NOT_COMPARED = (
    *("name", "description", "source", "readings", "differs", "note"),
    *("seed", "setting", "variant"),
)
"""What tells a recipe from others without changing what is trained."""


def section(runs: Runs) -> Section:
    """A table of the differences, and the recipe files."""
    blocks: list[Block] = []
    differences = _differences(runs)
    if differences is not None:
        blocks.append(differences)
    for method in runs.methods:
        about = str(method.first.recipe.get("description", ""))
        note = f" {about}" if about else ""
        blocks.append(
            Details(
                f"{method.name}: the whole recipe.{note}",
                [Code(method.first.recipe_text, f"Recipe of {method.name}")],
            )
        )
    return Section(
        f"recipes{runs.id}",
        "Recipes",
        "What was trained, with every default filled in. Save one as a file and train it again: "
        "ccsam train FILE.",
        blocks,
    )


def _differences(runs: Runs) -> Table | None:
    flat = [flattened(method.first.recipe) for method in runs.methods]
    keys = list(dict.fromkeys(key for values in flat for key in values))
    rows = []
    for key in keys:
        values = [values.get(key) for values in flat]
        if key in NOT_COMPARED or len({repr(value) for value in values}) < 2:
            continue
        rows.append([Cell(key), *(Cell(_shown(value)) for value in values)])
    if not rows:
        return None
    columns = [Column("setting", numeric=False)]
    columns += [Column(method.name, numeric=False) for method in runs.methods]
    return Table(
        columns, rows, "What the methods differ in; all else is the same.", scroll=len(rows) > 16
    )


def _shown(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
