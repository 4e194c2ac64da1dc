"""What a comparison would train: its runs in their order, and which first stages they share."""

import dataclasses
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import text_table as table
from keras_ccsam.recipes import Recipe, override
from keras_ccsam.recipes.together import check_together
from keras_ccsam.runs import parts
from keras_ccsam.runs.claim import require_known
from keras_ccsam.runs.folders import PathLike, fresh, is_set_aside, kind_of, named, require_free
from keras_ccsam.runs.run_directory import RunDirectory

MAX_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class PlannedRun:
    """One run of a comparison.

    Attributes:
        recipe: with the run's seed.
        path: its folder.
        finished: whether it is there already.
        lender: the run whose first stage it takes over; None where it trains its own.
        damage: what is wrong with the files that are in its folder already; "" where nothing is.
            Such a run is set aside and trained again.
    """

    recipe: Recipe
    path: Path
    finished: bool
    lender: Path | None
    damage: str = ""

    @property
    def epochs(self) -> tuple[int, int]:
        """Epochs to train of both stages, without a first stage that is taken over."""
        first = 0 if self.lender is not None else self.recipe.stage1.epochs
        return first, self.recipe.stage2.epochs if self.recipe.stage2 else 0

    @property
    def origin(self) -> str:
        """What is said of the first stage where it is another run's; "" where it is its own."""
        return "" if self.lender is None else f"first stage of {self.lender.name}"


@dataclasses.dataclass(frozen=True)
class ComparisonPlan:
    """A comparison with everything chosen and nothing trained.

    Attributes:
        recipes: on the same data.
        seeds: of weights, batches and augmentation.
        path: the folder.
        runs: in the order they are trained in.
    """

    recipes: tuple[Recipe, ...]
    seeds: tuple[int, ...]
    path: Path
    runs: tuple[PlannedRun, ...]

    @property
    def waiting(self) -> tuple[PlannedRun, ...]:
        """The runs that are not there yet."""
        return tuple(run for run in self.runs if not run.finished)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the data before relying on the numbers.

        Raises:
            ValueError: there is no such data.
        """
        note = parts.outline_data(self.recipes[0].data).ratio_note
        return () if note is None else (note,)

    def text(self) -> str:
        """Return the runs and what is left to train, as text."""
        own = sum(run.lender is None for run in self.waiting)
        lent = len(self.waiting) - own
        facts = [
            f"data      {self.recipes[0].setting}",
            f"seeds     {', '.join(map(str, self.seeds))}",
            f"runs      {len(self.runs)}, of which {len(self.runs) - len(self.waiting)} are "
            "finished",
            f"stage 1   {own} to train; {lent} taken over from another run, which changes no "
            "number",
            f"backend   {keras.backend.backend()}",
            f"folder    {self.path}",
            *(f"note      {text}" for text in self.notes),
            *(f"damaged   {run.path.name}: {run.damage}" for run in self.runs if run.damage),
        ]
        header = ["run", "state", "epochs", "first stage"]
        rows = []
        for run in self.runs:
            first, second = run.epochs
            state = "finished" if run.finished else "to train"
            state += " again" if run.damage else ""
            origin = f"of {run.lender.name}" if run.lender else "its own"
            epochs = f"{first} + {second}" if run.recipe.stage2 else str(first)
            rows.append([run.path.name, state, epochs, origin])
        return "\n".join(facts) + "\n\n" + table.text_table(header, rows, left=header)

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        return {
            "kind": "comparison plan",
            "data": self.recipes[0].data.name,
            "setting": self.recipes[0].setting,
            "seeds": list(self.seeds),
            "backend": keras.backend.backend(),
            "path": str(self.path),
            "notes": list(self.notes),
            "runs": [
                {
                    "run": run.path.name,
                    "recipe": run.recipe.name,
                    "seed": run.recipe.seed,
                    "digest": run.recipe.digest(),
                    "finished": run.finished,
                    "damage": run.damage,
                    "epochs": dict(zip(("stage1", "stage2"), run.epochs, strict=True)),
                    "stage1_from": run.lender.name if run.lender else None,
                }
                for run in self.runs
            ],
        }


def plan_comparison(
    recipes: Sequence[Recipe], seeds: Sequence[int] | int = 1, out: PathLike | None = None
) -> ComparisonPlan:
    """Choose everything that `compare` would train; same arguments. No data is read.

    Raises:
        ValueError: recipes that do not go together, seeds that are none, or a folder with anything
            else in it.
    """
    chosen = checked_seeds(seeds)
    _check_recipes(recipes)
    folder = fresh(f"compare-{recipes[0].setting}") if out is None else named(out)
    damage = _damage(folder) if kind_of(folder) == "comparison" else {}
    check_folder(folder, recipes, chosen, damage)
    lending = first_stages(folder, damage)
    runs = []
    for recipe, seed in seeded(recipes, chosen):
        path = run_path(folder, recipe, seed)
        directory = RunDirectory(path)
        finished = directory.status() == "complete" and path not in damage
        lender = lending.get(recipe.stage1_digest())
        if finished:
            taken = directory.results().get("stage1_from")
            lender = None if taken is None else path.parent / Path(taken).name
        else:
            lending.setdefault(recipe.stage1_digest(), path)
        runs.append(PlannedRun(recipe, path, finished, lender, damage.get(path, "")))
    return ComparisonPlan(tuple(recipes), chosen, folder, tuple(runs))


def run_path(folder: Path, recipe: Recipe, seed: int) -> Path:
    """Return where a comparison keeps the run of a recipe and seed."""
    return folder / f"{recipe.name}-seed{seed}"


def seeded(recipes: Sequence[Recipe], seeds: Sequence[int]) -> list[tuple[Recipe, int]]:
    """Return every run of a comparison, in the order they are trained in."""
    return [(override(recipe, f"seed={seed}"), seed) for seed in seeds for recipe in recipes]


def _damage(folder: Path) -> dict[Path, str]:
    """What is wrong with the files of the runs in a comparison's folder, of those with damage."""
    paths = [path for path in folder.iterdir() if not is_set_aside(path)]
    found = {path: RunDirectory(path).damage() for path in paths if (path / "state.json").exists()}
    return {path: lack for path, lack in found.items() if lack is not None}


def first_stages(folder: Path, damage: Container[Path] = ()) -> dict[str, Path]:
    """Return the runs of a comparison's folder that can lend their first stage, by its digest.

    Every finished run of this backend can, also of an earlier comparison in the same folder. Those
    that trained their first stage themselves go first.

    Args:
        folder: of the comparison.
        damage: runs whose files are damaged, which lend nothing.
    """
    found = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        directory = RunDirectory(path)
        if path in damage or is_set_aside(path):
            continue
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
    # Not all of them, where it is a number of twenty digits.
    chosen = tuple(range(min(seeds, MAX_SEEDS + 1)) if isinstance(seeds, int) else seeds)
    usable = chosen and len(set(chosen)) == len(chosen) <= MAX_SEEDS and min(chosen) >= 0
    if not usable:
        raise ValueError(
            f"`seeds` must be how many, from 1 to {MAX_SEEDS}, or a list of different numbers from "
            f"0 on. Received: seeds={seeds!r}"
        )
    return chosen


def _check_recipes(recipes: Sequence[Recipe]) -> None:
    names = [recipe.name for recipe in recipes]
    if not names or len(set(names)) < len(names):
        raise ValueError(
            "a comparison needs one recipe or more, each with a name of its own; give another "
            f"with --set name=... or in its file. Received: recipes={names}"
        )
    check_together(recipes)


def check_folder(
    folder: Path,
    recipes: Sequence[Recipe],
    seeds: Sequence[int],
    damage: Container[Path] = (),
) -> None:
    """Accept a free folder, or one of the same comparison.

    Args:
        folder: of the comparison.
        recipes: of the comparison.
        seeds: of the comparison.
        damage: runs whose files are damaged: nobody knows what they were.

    Raises:
        ValueError: the folder holds anything else, or runs of other recipes or of another backend.
    """
    if kind_of(folder) != "comparison":
        require_free(folder)
        return
    require_known(folder)
    for recipe, seed in seeded(recipes, seeds):
        directory = RunDirectory(run_path(folder, recipe, seed))
        if directory.status() == "absent" or directory.path in damage:
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
