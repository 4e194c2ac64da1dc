"""A comparison's table, put together from its runs, and the files of it."""

import warnings
from collections.abc import Container, Sequence
from pathlib import Path

from keras_ccsam import atomic
from keras_ccsam.comparison.comparison import Comparison, MissingRun, Row
from keras_ccsam.comparison.plan import ComparisonPlan, run_path
from keras_ccsam.recipes import Recipe, override
from keras_ccsam.runs.run_directory import RunDirectory, write_json


def written(chosen: ComparisonPlan, missing: Sequence[MissingRun]) -> Comparison | None:
    """Put the table of the runs that are there together, and write it; None where none is."""
    absent = {
        (run.recipe.name, run.recipe.seed)
        for run in chosen.runs
        if RunDirectory(run.path).status() != "complete"
    }
    rows = tuple(row(chosen.path, recipe, chosen.seeds, absent) for recipe in chosen.recipes)
    first = next((found for row in rows for found in row.results if found is not None), None)
    if first is None:
        return None
    counts = tuple(first["class_counts"])
    found = Comparison(chosen.path, first["data"], counts, chosen.seeds, rows, tuple(missing))
    write_json(chosen.path / "comparison.json", found.to_dict())
    atomic.write_text(chosen.path / "comparison.md", found.markdown())
    return found


def row(
    folder: Path,
    recipe: Recipe,
    seeds: Sequence[int],
    missing: Container[tuple[str, int]] = (),
) -> Row:
    """Return a recipe's row, read from its runs in a comparison's folder.

    Args:
        folder: of the comparison.
        recipe: of the row.
        seeds: of its runs.
        missing: names of recipes with the seeds of runs that have no results.

    Raises:
        ValueError: a run is not there, or not finished.
    """
    return Row(
        recipe.name,
        recipe.description,
        override(recipe, "seed=0").digest(),
        tuple(
            None
            if (recipe.name, seed) in missing
            else RunDirectory(run_path(folder, recipe, seed)).results()
            for seed in seeds
        ),
        recipe.readings,
    )


def draw(comparison: Comparison) -> None:
    """Draw comparison.png; a warning says where that fails."""
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    groups = ("overall", *comparison.groups)
    summaries = {row["recipe"]: row for row in comparison.to_dict()["rows"]}
    bars = [{"method": name, **{g: row[g] for g in groups}} for name, row in summaries.items()]
    try:
        plots.comparison(bars, comparison.path / "comparison.png")
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plot could not be drawn: {error}", stacklevel=3)
