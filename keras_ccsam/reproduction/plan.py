"""What a reproduction would train: each row's recipe, and the folder its runs go to."""

import dataclasses
import json
import re
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from keras_ccsam import recipes
from keras_ccsam import text_table as table
from keras_ccsam.comparison.compare import (
    check_folder,
    checked_seeds,
    first_stages,
    run_path,
    seeded,
)
from keras_ccsam.recipes import Recipe, tables
from keras_ccsam.runs.run_directory import PathLike, RunDirectory, read_json, require_free

SCALES = ("tiny", "small", "full")

# The digits' largest class has 128 images: a ratio of 200 would empty the smallest.
_TINY_SHARE = 2


@dataclasses.dataclass(frozen=True)
class PlannedRow:
    """One row of the table, the recipe that it is trained with, and its comparison's folder."""

    source: tables.Row
    recipe: Recipe
    folder: Path


@dataclasses.dataclass(frozen=True)
class ReproductionPlan:
    """A table with everything chosen and nothing trained.

    Attributes:
        name: of the table.
        table: what was published.
        scale: one of `SCALES`.
        seeds: of weights, batches and augmentation.
        overrides: what is changed in every recipe, but for the path of the data.
        path: the folder.
        rows: in the order of the table.
        without_stage2: recipes that overrides of `stage2` are not applied to.
    """

    name: str
    table: tables.Table
    scale: str
    seeds: tuple[int, ...]
    overrides: tuple[str, ...]
    path: Path
    rows: tuple[PlannedRow, ...]
    without_stage2: tuple[str, ...]

    @property
    def state_file(self) -> Path:
        """The file that says what the folder is."""
        return self.path / "state.json"

    def check_folders(self) -> None:
        """Accept free folders, or those of reproductions at the same scale and backend.

        Raises:
            ValueError: one holds anything else, or runs of other recipes.
        """
        content = read_json(self.state_file) if self.state_file.is_file() else {}
        if content.get("kind") != "reproduction":
            require_free(self.path)
        elif content.get("scale") != self.scale:
            raise ValueError(
                f"the folder holds a reproduction at the scale {content.get('scale')!r}; name "
                f"another folder. Received: scale={self.scale!r}, out={str(self.path)!r}"
            )
        for folder, group in self.groups().items():
            check_folder(folder, group, self.seeds)

    def groups(self) -> dict[Path, tuple[Recipe, ...]]:
        """Return the comparisons to make: by folder, the distinct recipes on the same data."""
        found: dict[Path, dict[str, Recipe]] = {}
        for row in self.rows:
            found.setdefault(row.folder, {}).setdefault(row.recipe.digest(), row.recipe)
        return {folder: tuple(group.values()) for folder, group in found.items()}

    def describe(self) -> str:
        """Return the rows and what is left to train, as text; nothing is written or loaded."""
        header = ["row", "data", "published", "recipe", "trained on", "epochs"]
        rows = []
        for row in self.rows:
            recipe, published = row.recipe, row.source.published
            second = f" + {recipe.stage2.epochs}" if recipe.stage2 else ""
            rows.append(
                [
                    row.source.label,
                    row.source.place,
                    "-" if published is None else f"{published:g}",
                    recipe.name,
                    row.folder.name,
                    f"{recipe.stage1.epochs}{second}",
                ]
            )
        runs = [
            (recipe, run_path(folder, recipe, seed), folder)
            for folder, group in self.groups().items()
            for recipe, seed in seeded(group, self.seeds)
        ]
        left = [run for run in runs if RunDirectory(run[1]).status() != "complete"]
        lent = {folder: first_stages(folder) for folder in self.groups()}
        wanted = {(folder, recipe.stage1_digest()) for recipe, _, folder in left}
        stages = sum(digest not in lent[folder] for folder, digest in wanted)
        facts = [
            f"table     {self.table.title} ({self.table.source})",
            f"scale     {self.scale}",
            f"seeds     {', '.join(map(str, self.seeds))}",
            f"runs      {len(runs)}, of which {len(runs) - len(left)} are finished",
            f"stage 1   {stages} to train; the runs share them",
            f"folder    {self.path}",
        ]
        facts += [f"note      {self.table.note}"] if self.table.note else []
        return "\n".join(facts) + "\n\n" + table.text_table(header, rows)


def plan_reproduction(
    name: str,
    scale: str = "small",
    seeds: Sequence[int] | int = 1,
    out: PathLike | None = None,
    *,
    data_path: PathLike | None = None,
    overrides: Sequence[str] = (),
) -> ReproductionPlan:
    """Choose everything that `reproduce` would train; same arguments.

    Raises:
        ValueError: an unknown table, scale or override, or seeds that are none.
    """
    published = tables.load(name)
    if scale not in SCALES:
        close = get_close_matches(scale, SCALES, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise ValueError(f"`scale` must be one of {', '.join(SCALES)}{hint} Received: {scale=}")
    chosen = checked_seeds(seeds)
    path = Path(f"runs/reproduce-{scale}" if out is None else out)
    overrides = (overrides,) if isinstance(overrides, str) else tuple(overrides)
    # JSON's quotes and escapes are TOML's.
    source = () if data_path is None else (f"data.path={json.dumps(str(data_path))}",)
    rows = []
    for row in published.rows:
        recipe = _recipe(row, scale, (*source, *overrides))
        folder = path / f"{recipe.setting}-{recipe.data.imbalance_ratio:g}"
        rows.append(PlannedRow(row, recipe, folder))
    without: tuple[str, ...] = ()
    if any(map(_of_stage2, overrides)):
        without = tuple(dict.fromkeys(r.recipe.name for r in rows if r.recipe.stage2 is None))
        if all(row.recipe.stage2 is None for row in rows):
            recipes.load(published.rows[0].recipe, overrides=overrides)  # says what is wrong
    return ReproductionPlan(name, published, scale, chosen, overrides, path, tuple(rows), without)


def _recipe(row: tables.Row, scale: str, overrides: Sequence[str]) -> Recipe:
    """Return the row's recipe, under a name that says what was changed in it."""
    setting = {"tiny": "digits-lt", "small": f"{row.data}-small", "full": row.data}[scale]
    ratio = row.imbalance_ratio / (_TINY_SHARE if scale == "tiny" else 1)

    def load(*changes: str) -> Recipe:
        changes = (f"data.imbalance_ratio={ratio:g}", *changes)
        recipe = recipes.load(row.recipe, setting, (*changes, *first))
        if recipe.stage2 is None or len(first) == len(overrides):
            return recipe
        return recipes.load(row.recipe, setting, (*changes, *overrides))

    first = [text for text in overrides if not _of_stage2(text)]
    recipe, name = load(*row.overrides), row.recipe
    # The same recipe has the same name in every table, so that they can share a folder.
    if row.overrides and recipe.digest() != load().digest():
        name = "-".join((row.recipe, *map(_compact, row.overrides)))
    return recipes.override(recipe, f"name={json.dumps(name)}")


def _compact(override: str) -> str:
    """`radius_scale-1e-3` of `stage1.method.radius_scale=1e-3`, as a folder may be called."""
    key, _, value = override.partition("=")
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", f"{key.strip().rpartition('.')[2]}-{value.strip()}")


def _of_stage2(override: str) -> bool:
    return override.partition("=")[0].partition(".")[0].strip() == "stage2"
