"""The rows of a grid at one ratio and draw: trained, and written down."""

import json
from pathlib import Path
from typing import Any

import keras

from benchmarks import record
from keras_ccsam import atomic, comparison, recipes
from keras_ccsam.comparison.plan import run_path
from keras_ccsam.comparison.varied import renamed, varied_name
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.run_directory import RunDirectory, read_json
from studies.question import PLACES, Grid, Question, Row

FORMAT = 1
GROUPS = ("many", "medium", "few")
# What `--record radius` keeps that the page shows.
COLUMNS = ("step_norm", "gradient_norm", "loss", "margin")
# Of the epochs of stage 1: the first, three between, the last.
MOMENTS = 5


class Trained:
    """Runs below a folder.

    Args:
        out: the folder.
        path: of CIFAR-10; None lets Keras download it.
        plan: train nothing.
        validate_every: as in `runs.run`.
    """

    def __init__(
        self, out: Path, path: str | None, plan: bool = False, validate_every: int = 1
    ) -> None:
        self.out, self.path, self.plan = out, path, plan
        self.validate_every = validate_every
        self.failed: list[str] = []

    def cell(self, question: Question, grid: Grid, draw: int, ratio: float, results: Path) -> int:
        """Train what is missing of a cell and write its rows; how many runs were missing."""
        folder = self.out / f"{grid.place}-ratio{ratio:g}-draw{draw}"
        chosen = [self.recipe(grid, row, draw, ratio) for row in grid.rows]
        waiting = len(comparison.plan_comparison(chosen, [draw], folder).waiting)
        if self.plan:
            return waiting
        if waiting:
            found = comparison.compare(
                chosen,
                [draw],
                folder,
                progress="none",
                record=grid.record,
                compile_cache=self.out / ".jax-cache",
                validate_every=self.validate_every,
            )
            self.failed += found.reasons()
        write(question, grid, draw, ratio, zip(grid.rows, chosen, strict=True), folder, results)
        return waiting

    def recipe(self, grid: Grid, row: Row, draw: int, ratio: float) -> Recipe:
        """A row's recipe in a cell."""
        setting = PLACES[grid.place][0]
        where = () if self.path is None or grid.place == "digits" else (f"data.path={self.path}",)
        changes = (*grid.overrides, *row.overrides)
        found = recipes.load(row.recipe, setting, (*grid.data(draw, ratio), *where, *changes))
        return renamed(found, varied_name(row.recipe, changes))


def is_written(question: Question, grid: Grid, draw: int, ratio: float, results: Path) -> bool:
    """Whether every row of a cell is among those that are written already."""
    path = _file(question, grid, results)
    wanted = (grid.place, grid.setting, ratio, draw)
    keys = ("place", "setting", "ratio", "draw")
    known = read_json(path)["rows"] if path.is_file() else []
    there = {row["row"] for row in known if tuple(row[key] for key in keys) == wanted}
    return there >= {row.label for row in grid.rows}


def _file(question: Question, grid: Grid, results: Path) -> Path:
    return results / f"{question.name}-{grid.scale}.json"


def write(
    question: Question,
    grid: Grid,
    draw: int,
    ratio: float,
    rows: Any,
    folder: Path,
    results: Path,
) -> None:
    """Put a cell's rows among those that are written already."""
    path = _file(question, grid, results)
    content = read_json(path) if path.is_file() else {"rows": []}
    identity = ("place", "setting", "ratio", "draw", "row", "backend")
    known = {tuple(row[key] for key in identity): row for row in content["rows"]}
    for row, recipe in rows:
        directory = RunDirectory(run_path(folder, recipe, draw))
        if directory.status() != "complete":
            continue
        found = {
            "place": grid.place,
            "setting": grid.setting,
            "ratio": ratio,
            "draw": draw,
            "row": row.label,
            **measured(directory),
        }
        known[tuple(found[key] for key in identity)] = found
    content = {
        "kind": "study",
        "format": FORMAT,
        "question": question.title,
        "scale": grid.scale,
        "settings_digest": question.digest,
        "machine": record.machine(keras.backend.backend()),
        "rows": list(known.values()),
    }
    results.mkdir(parents=True, exist_ok=True)
    lines = ",\n  ".join(json.dumps(row) for row in content.pop("rows"))
    head = json.dumps(content, indent=1)[:-2]
    atomic.write_text(path, f'{head},\n "rows": [\n  {lines}\n ]\n}}\n')


def measured(directory: RunDirectory) -> dict[str, Any]:
    """What a run scored after its last epoch, and by what it came about."""
    found = directory.results()
    git = directory.environment().get("git") or {}
    members = found["test"]["group_classes"]
    return {
        "recipe_digest": found["digest"],
        "backend": found["backend"],
        "commit": git.get("revision"),
        "modified": git.get("modified"),
        "versions": directory.environment()["packages"],
        "epochs": found["epochs"],
        "seconds": found["seconds"],
        "class_counts": found["class_counts"],
        **_scores(found["test"]),
        "validation": _scores(found["validation"]) if found.get("validation") else None,
        "stage1": _scores(found["stage1"]),
        "recorded": _recorded(directory.analysis / "radius.json", members),
    }


def _scores(report: dict[str, Any]) -> dict[str, Any]:
    groups = {group: round(report["groups"][group], 5) for group in GROUPS}
    scores = {key: round(report[key], 5) for key in ("balanced", "overall", "ece", "nll")}
    return {**scores, **groups, "per_class": [round(value, 4) for value in report["per_class"]]}


def _recorded(path: Path, members: dict[str, list[int]]) -> dict[str, Any] | None:
    """Group means of what was recorded, at some epochs of stage 1; None where nothing was."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    count = len(content["epochs"])
    moments = sorted({round(i * (count - 1) / (MOMENTS - 1)) for i in range(MOMENTS)})
    return {
        "epochs": [content["epochs"][i] for i in moments],
        **{
            column: {
                group: [
                    float(f"{sum(content['values'][column][i][c] for c in own) / len(own):.5g}")
                    for i in moments
                ]
                for group, own in members.items()
            }
            for column in COLUMNS
        },
    }
