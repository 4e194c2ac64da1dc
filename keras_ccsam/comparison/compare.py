"""Several recipes over several seeds, each distinct first stage trained once."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import keras

from keras_ccsam import atomic
from keras_ccsam.comparison.comparison import Comparison, Row
from keras_ccsam.recipes import Recipe, override
from keras_ccsam.runs import experiment, parts
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.progress import verbosity
from keras_ccsam.runs.run_directory import (
    PathLike,
    RunDirectory,
    fresh,
    read_json,
    require_free,
    write_json,
)

_STATE = "state.json"


def compare(
    recipes: Sequence[Recipe],
    seeds: Sequence[int] | int = 1,
    out: PathLike | None = None,
    *,
    progress: str = "auto",
    compile_cache: PathLike = "auto",
) -> Comparison:
    """Train every recipe with every seed and put the results into one table.

    Recipes whose first stages are the same (`Recipe.stage1_digest`) share it: cRT continues the
    cross-entropy run of the same seed. The numbers are those of separate runs. In a folder that a
    comparison was interrupted in, finished runs are kept and the others trained; any finished run
    in it lends its first stage.

    Args:
        recipes: on the same data, with different names.
        seeds: of weights, batches and augmentation; a number n stands for 0 ... n - 1.
        out: an absent or empty folder, or one of an earlier comparison;
            `runs/compare-<data>-<time>` by default. Gets one folder a run, `comparison.json`,
            `comparison.md` and `comparison.png`.
        progress: as in `experiment.run`.
        compile_cache: as in `experiment.run`; `"auto"` is beside `out`, so that comparisons in one
            folder share it.

    Raises:
        ValueError: recipes that do not go together, data that cannot be had, a model that cannot
            be built, or a folder with anything else or with runs of other recipes in it. Nothing
            has been written then.
    """
    verbosity(progress, 1)
    seeds = checked_seeds(seeds)
    _check_recipes(recipes)
    folder = Path(fresh(f"compare-{recipes[0].setting}") if out is None else out)
    check_folder(folder, recipes, seeds)
    check_models(recipes)
    planned = seeded(recipes, seeds)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / _STATE, {"kind": "comparison", "status": "running"})
    with kept_programs(compile_cache, folder, announce=progress != "none"):
        _train_missing(folder, planned, progress)
    comparison = _collect(folder, recipes, seeds)
    write_json(folder / "comparison.json", comparison.to_dict())
    atomic.write_text(folder / "comparison.md", comparison.markdown())
    _plot(comparison)
    write_json(folder / _STATE, {"kind": "comparison", "status": "complete"})
    return comparison


def _train_missing(folder: Path, planned: Sequence[tuple[Recipe, int]], progress: str) -> None:
    trained = first_stages(folder)
    for number, (recipe, seed) in enumerate(planned, start=1):
        directory = RunDirectory(run_path(folder, recipe, seed))
        if directory.status() != "complete":
            _set_aside(directory.path)
            if progress != "none":
                print(f"run {number}/{len(planned)}: {recipe.name}, seed {seed}", flush=True)
            experiment.run(
                recipe,
                directory.path,
                progress=progress,
                stage1_from=trained.get(recipe.stage1_digest()),
                compile_cache="off",  # the comparison's is on
            )
        trained.setdefault(recipe.stage1_digest(), directory.path)


def _collect(folder: Path, recipes: Sequence[Recipe], seeds: tuple[int, ...]) -> Comparison:
    rows = tuple(row(folder, recipe, seeds) for recipe in recipes)
    first = rows[0].results[0]
    return Comparison(folder, first["data"], tuple(first["class_counts"]), seeds, rows)


def row(folder: Path, recipe: Recipe, seeds: Sequence[int]) -> Row:
    """Return a recipe's row, read from its runs in a comparison's folder.

    Raises:
        ValueError: a run is not there, or not finished.
    """
    return Row(
        recipe.name,
        recipe.description,
        override(recipe, "seed=0").digest(),
        tuple(RunDirectory(run_path(folder, recipe, seed)).results() for seed in seeds),
    )


def run_path(folder: Path, recipe: Recipe, seed: int) -> Path:
    """Return where a comparison keeps the run of a recipe and seed."""
    return folder / f"{recipe.name}-seed{seed}"


def seeded(recipes: Sequence[Recipe], seeds: Sequence[int]) -> list[tuple[Recipe, int]]:
    """Return every run of a comparison, in the order they are trained in."""
    return [(override(recipe, f"seed={seed}"), seed) for seed in seeds for recipe in recipes]


def first_stages(folder: Path) -> dict[str, Path]:
    """Return the runs of a comparison's folder that can lend their first stage, by its digest.

    Every finished run of this backend can, also of an earlier comparison in the same folder. Those
    that trained their first stage themselves go first.
    """
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        directory = RunDirectory(path)
        if directory.status() != "complete" or not directory.stage1_file.is_file():
            continue
        results = directory.results()
        if results.get("backend") == keras.backend.backend() and "stage1_digest" in results:
            found.append((results.get("stage1_from") is not None, results["stage1_digest"], path))
    lending: dict[str, Path] = {}
    for _, digest, path in sorted(found):
        lending.setdefault(digest, path)
    return lending


def checked_seeds(seeds: Sequence[int] | int) -> tuple[int, ...]:
    """Return the seeds that `seeds` stands for.

    Raises:
        ValueError: there is none, one comes twice, or one is negative.
    """
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen or len(set(chosen)) < len(chosen) or min(chosen) < 0:
        raise ValueError(
            "`seeds` must be how many, at least 1, or a list of different numbers from 0 on. "
            f"Received: seeds={seeds!r}"
        )
    return chosen


def _check_recipes(recipes: Sequence[Recipe]) -> None:
    names = [recipe.name for recipe in recipes]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "a comparison needs one recipe or more, each with a name of its own; give another "
            f"with --set name=... or in its file. Received: recipes={names}"
        )
    first = recipes[0]
    for recipe in recipes[1:]:
        if (recipe.data, recipe.groups) != (first.data, first.groups):
            raise ValueError(
                "recipes can be compared on the same data and groups only. Received: "
                f"{first.name} on {first.data.name}, {recipe.name} on {recipe.data.name}"
            )


def check_models(recipes: Sequence[Recipe]) -> None:
    """Build each model once: the last recipe's mistake must not show after hours of the others.

    Raises:
        ValueError: the data cannot be had, or a model cannot be built.
    """
    images = parts.load_data(recipes[0].data)
    for recipe in recipes:
        parts.build_model(recipe, images, len(parts.train_batches(recipe, images)))


def check_folder(folder: Path, recipes: Sequence[Recipe], seeds: Sequence[int]) -> None:
    """Accept a free folder, or one of the same comparison.

    Raises:
        ValueError: the folder holds anything else, or runs of other recipes or of another backend.
    """
    state = folder / _STATE
    if not (state.is_file() and read_json(state).get("kind") == "comparison"):
        require_free(folder)
        return
    for recipe, seed in seeded(recipes, seeds):
        directory = RunDirectory(run_path(folder, recipe, seed))
        if directory.status() == "absent":
            continue
        if directory.recipe().digest() != recipe.digest():
            raise ValueError(
                f"the folder holds a run of another recipe named {recipe.name!r}; name another "
                f"folder. Received: out={str(folder)!r}"
            )
        backend = directory.environment().get("backend")
        if backend != keras.backend.backend():
            raise ValueError(
                f"the folder's runs were trained with {backend}, and times cannot be compared "
                f"across backends; continue with {backend}, or name another folder. "
                f"Received: backend={keras.backend.backend()!r}"
            )


def _set_aside(path: Path) -> None:
    """Rename what an interrupted run left, so that its place is free and nothing is lost."""
    if not path.exists():
        return
    count = 1
    while (aside := path.with_name(f"{path.name}.incomplete-{count}")).exists():
        count += 1
    path.rename(aside)


def _plot(comparison: Comparison) -> None:
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    groups = ("overall", *comparison.groups)
    summaries = {row["recipe"]: row for row in comparison.to_dict()["rows"]}
    bars = [
        {"method": name, **{g: (row[g]["mean"], row[g]["std"] or 0.0) for g in groups}}
        for name, row in summaries.items()
    ]
    try:
        plots.comparison(bars, comparison.path / "comparison.png")
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plot could not be drawn: {error}", stacklevel=3)
