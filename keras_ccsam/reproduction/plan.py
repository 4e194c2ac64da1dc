"""What a reproduction would train: each row's recipe, and the folder its runs go to."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from keras_ccsam import recipes
from keras_ccsam import text_table as table
from keras_ccsam.comparison.plan import ComparisonPlan, PlannedRun, checked_seeds, plan_comparison
from keras_ccsam.comparison.varied import renamed, varied_name
from keras_ccsam.recipes import Recipe, known, tables
from keras_ccsam.recipes.composing import of_stage2
from keras_ccsam.reproduction import scales
from keras_ccsam.runs.folders import PathLike, kind_of, named, require_free
from keras_ccsam.runs.run_directory import read_json


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
        scale: one of `scales.SCALES`.
        seeds: of weights, batches and augmentation.
        overrides: what is changed in every recipe, but for the path of the data.
        path: the folder.
        rows: in the order of the table.
        protocol: of the CC-SAM paper.
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
    protocol: str = "ablation"

    @property
    def state_file(self) -> Path:
        """The file that says what the folder is."""
        return self.path / "state.json"

    def comparisons(self) -> dict[Path, ComparisonPlan]:
        """Return the comparisons to make, by folder: those of the rows on the same data.

        Raises:
            ValueError: a folder holds anything else, runs of other recipes or of another backend,
                or a reproduction at another scale.
        """
        if kind_of(self.path) != "reproduction":
            require_free(self.path)
        elif (scale := read_json(self.state_file).get("scale")) != self.scale:
            raise ValueError(
                f"the folder holds a reproduction at the scale {scale!r}; name another folder. "
                f"Received: scale={self.scale!r}, out={str(self.path)!r}"
            )
        return {
            folder: plan_comparison(group, self.seeds, folder)
            for folder, group in self.groups().items()
        }

    def groups(self) -> dict[Path, tuple[Recipe, ...]]:
        """Return the comparisons to make: by folder, the distinct recipes on the same data."""
        found: dict[Path, dict[str, Recipe]] = {}
        for row in self.rows:
            found.setdefault(row.folder, {}).setdefault(row.recipe.digest(), row.recipe)
        return {folder: tuple(group.values()) for folder, group in found.items()}

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before comparing the numbers with the published ones."""
        found = [self.table.note, self.table.selection, *readings(row.recipe for row in self.rows)]
        for plan in self.comparisons().values():
            with suppress(ValueError):  # data that is not there costs its own rows only
                found += plan.notes
        return tuple(dict.fromkeys(text for text in found if text))

    def text(self) -> str:
        """Return the rows and what is left to train, as text; no data is read."""
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
        runs, waiting = self._runs()
        own = sum(run.lender is None for run in waiting)
        facts = [
            f"table     {self.table.title} ({self.table.source})",
            f"scale     {self.scale}",
            f"protocol  {self.protocol}",
            f"seeds     {', '.join(map(str, self.seeds))}",
            f"runs      {len(runs)}, of which {len(runs) - len(waiting)} are finished",
            f"stage 1   {own} to train; {len(waiting) - own} taken over from another run, which "
            "changes no number",
            f"folder    {self.path}",
        ]
        facts += [f"note      {text}" for text in self.notes]
        text = table.text_table(header, rows, left=("data", "recipe", "trained on"))
        return "\n".join(facts) + "\n\n" + text

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        runs, waiting = self._runs()
        return {
            "kind": "reproduction plan",
            "table": self.name,
            "title": self.table.title,
            "source": self.table.source,
            "notes": list(self.notes),
            "scale": self.scale,
            "protocol": self.protocol,
            "seeds": list(self.seeds),
            "overrides": list(self.overrides),
            "path": str(self.path),
            "runs": len(runs),
            "finished": len(runs) - len(waiting),
            "stage1_to_train": sum(run.lender is None for run in waiting),
            "rows": [
                {
                    "label": row.source.label,
                    "data": row.source.data,
                    "imbalance_ratio": row.source.imbalance_ratio,
                    "published": row.source.published,
                    "recipe": row.recipe.name,
                    "setting": row.recipe.setting,
                    "digest": row.recipe.digest(),
                    "folder": row.folder.name,
                    "epochs": {
                        "stage1": row.recipe.stage1.epochs,
                        "stage2": row.recipe.stage2.epochs if row.recipe.stage2 else 0,
                    },
                }
                for row in self.rows
            ],
        }

    def _runs(self) -> tuple[list[PlannedRun], list[PlannedRun]]:
        """All runs, and those that are not there yet."""
        plans = self.comparisons().values()
        return [r for p in plans for r in p.runs], [r for p in plans for r in p.waiting]


def plan_reproduction(
    name: str,
    scale: str = "small",
    seeds: Sequence[int] | int = 1,
    out: PathLike | None = None,
    *,
    data: str | None = None,
    data_path: PathLike | None = None,
    overrides: Sequence[str] = (),
    protocol: str | None = None,
) -> ReproductionPlan:
    """Choose everything that `reproduce` would train; same arguments.

    Raises:
        ValueError: an unknown table, scale or override, or seeds that are none.
    """
    published = tables.load(name)
    scales.check_scale(scale)
    known.with_protocol("cifar10-lt", protocol)
    trained = protocol or published.protocol
    scales.check_protocol(trained, scale, data)
    if trained != published.protocol:
        published = _by_another_protocol(published)
    chosen = checked_seeds(seeds)
    path = named(f"runs/reproduce-{scale}" if out is None else out)
    overrides = (overrides,) if isinstance(overrides, str) else tuple(overrides)
    # JSON's quotes and escapes are TOML's.
    source = () if data_path is None else (f"data.path={json.dumps(str(data_path))}",)
    rows = []
    for row in published.rows if data is None else on_other_data(published.rows, data):
        recipe = _recipe(row, scale, (*source, *overrides), data, trained)
        ratio = recipe.data.imbalance_ratio
        # With every image of a set there is no ratio to name.
        folder = recipe.setting if ratio == "none" else f"{recipe.setting}-{ratio:g}"
        rows.append(PlannedRow(row, recipe, path / folder))
    without: tuple[str, ...] = ()
    if any(map(of_stage2, overrides)):
        without = tuple(dict.fromkeys(r.recipe.name for r in rows if r.recipe.stage2 is None))
        if all(row.recipe.stage2 is None for row in rows):
            recipes.load(published.rows[0].recipe, overrides=overrides)  # says what is wrong
    return ReproductionPlan(
        name, published, scale, chosen, overrides, path, tuple(rows), without, trained
    )


def readings(recipes: Iterable[Recipe]) -> tuple[str, ...]:
    """Our own readings in some recipes, each once with the recipes that it is of."""
    found: dict[str, list[str]] = {}
    for recipe in recipes:
        for text in recipe.readings:
            names = found.setdefault(text, [])
            if recipe.name not in names:
                names.append(recipe.name)
    return tuple(f"Our reading ({', '.join(names)}): {text}" for text, names in found.items())


def _by_another_protocol(table: tables.Table) -> tables.Table:
    """A table without the numbers that were published, which are of another protocol."""
    rows = tuple(row.model_copy(update={"published": None}) for row in table.rows)
    return table.model_copy(update={"rows": rows, "selection": ""})


def on_other_data(rows: Sequence[tables.Row], data: str) -> tuple[tables.Row, ...]:
    """Return the rows on the first of the table's data alone, which another set stands in for.

    What was published for that data is no number of the other set.
    """
    first = rows[0].place
    return tuple(
        row.model_copy(update={"published": None, "on": data}) for row in rows if row.place == first
    )


def _recipe(
    row: tables.Row,
    scale: str,
    overrides: Sequence[str],
    data: str | None = None,
    protocol: str = "ablation",
) -> Recipe:
    """Return the row's recipe, under a name that says what was changed in it."""
    setting = data or scales.setting(row.data, scale, protocol)

    def load(*changes: str) -> Recipe:
        if data is None:
            changes = (scales.ratio(row.imbalance_ratio, scale), *changes)
        recipe = recipes.load(row.recipe, setting, (*changes, *first))
        if recipe.stage2 is None or len(first) == len(overrides):
            return recipe
        return recipes.load(row.recipe, setting, (*changes, *overrides))

    first = [text for text in overrides if not of_stage2(text)]
    recipe, name = load(*row.overrides), row.recipe
    # The same recipe has the same name in every table, so that they can share a folder.
    if row.overrides and recipe.digest() != load().digest():
        name = varied_name(row.recipe, row.overrides)
    return renamed(recipe, name)
