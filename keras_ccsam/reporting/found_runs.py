"""The runs that a report is made of: found, read, and put together by data and by method."""

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.callbacks.metrics_log import Record
from keras_ccsam.recipes import toml
from keras_ccsam.reporting import predictions
from keras_ccsam.runs.folders import PathLike, kind_of
from keras_ccsam.runs.run_directory import RunDirectory, read_json


@dataclass(frozen=True)
class FoundRun:
    """One finished run, as its files tell it; neither its data nor its network is loaded.

    Attributes:
        directory: the run's folder.
        recipe: every choice, as the file has it; one that an older version wrote, too.
        results: the content of results.json.
        environment: the content of environment.json.
    """

    directory: RunDirectory
    recipe: dict[str, Any]
    results: dict[str, Any]
    environment: dict[str, Any]

    @property
    def path(self) -> Path:
        """The folder."""
        return self.directory.path

    @property
    def seed(self) -> int:
        """Of weights, batches and augmentation."""
        return int(self.recipe.get("seed", 0))

    @property
    def test(self) -> dict[str, Any]:
        """The report on the test set."""
        found: dict[str, Any] = self.results["test"]
        return found

    @property
    def recipe_text(self) -> str:
        """The recipe's file."""
        return self.directory.recipe_file.read_text(encoding="utf-8")

    @cached_property
    def records(self) -> list[Record]:
        """One record per epoch."""
        return self.directory.metrics()

    @cached_property
    def predictions(self) -> dict[str, Any] | None:
        """What `predict` found; None where nobody asked it yet."""
        return predictions.predicted(self.directory.analysis)

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays beside `predictions`."""
        return predictions.arrays(self.directory.analysis)

    def analysis(self, name: str) -> dict[str, Any] | None:
        """A JSON file of the run's `analysis`; None where it is absent or broken."""
        path = self.directory.analysis / name
        try:
            return read_json(path) if path.is_file() else None
        except ValueError:
            return None


@dataclass(frozen=True)
class Method:
    """Runs that differ in nothing but the seed.

    Attributes:
        name: the recipe's, with what sets it apart where two have the same.
        runs: by seed.
    """

    name: str
    runs: tuple[FoundRun, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """In ascending order."""
        return tuple(run.seed for run in self.runs)

    @property
    def first(self) -> FoundRun:
        """The run of the lowest seed."""
        return self.runs[0]

    def values(self, *keys: str) -> list[float | None]:
        """One number of results.json per seed, such as `("test", "overall")`."""
        return [_at(run.results, keys) for run in self.runs]


@dataclass(frozen=True)
class Runs:
    """All methods on the same data; what a section of the report is made of.

    Attributes:
        id: a word for addresses within the page.
        name: of the data.
        methods: in the order of their series.
        surface: whether surfaces that can be turned are wanted.
    """

    id: str
    name: str
    methods: tuple[Method, ...]
    surface: bool = False

    @property
    def all(self) -> Iterator[FoundRun]:
        """Every run."""
        return (run for method in self.methods for run in method.runs)

    @property
    def class_names(self) -> list[str]:
        """One per class."""
        return [str(name) for name in self.methods[0].first.results["class_names"]]

    @property
    def class_counts(self) -> list[int]:
        """Training images of each class."""
        return [int(n) for n in self.methods[0].first.results["class_counts"]]

    @property
    def group_classes(self) -> dict[str, list[int]]:
        """Group name to its classes."""
        found: dict[str, list[int]] = self.methods[0].first.test["group_classes"]
        return found

    @property
    def by_count(self) -> list[int]:
        """The classes, most frequent first."""
        return np.argsort([-n for n in self.class_counts], kind="stable").tolist()

    def group_of(self, index: int) -> str:
        """The group of a class, or nothing."""
        return next((name for name, classes in self.group_classes.items() if index in classes), "")

    @property
    def test_samples(self) -> list[int]:
        """Test samples of each class."""
        confusion = self.methods[0].first.test["confusion"]
        return [int(sum(row)) for row in confusion]


def find(paths: Sequence[PathLike]) -> tuple[list[FoundRun], list[str]]:
    """Read the runs below some folders.

    Args:
        paths: runs, or folders of runs: a comparison's or a reproduction's.

    Returns:
        The finished runs, in the order of their comparison, and a line for each other one.

    Raises:
        ValueError: a path without any run.
    """
    folders: dict[Path, None] = {}
    for path in map(Path, paths):
        below = list(_below(path))
        if not below:
            lack = "there is no run in it" if path.is_dir() else "there is no such folder"
            raise ValueError(
                f"a report is made of runs, or of folders of runs; {lack}. "
                f"Received: run={str(path)!r}"
            )
        folders |= dict.fromkeys(folder.absolute() for folder in below)
    found, others = [], []
    for folder in folders:
        directory = RunDirectory(folder)
        if directory.status() != "complete":
            state = "interrupted" if directory.status() == "running" else directory.status()
            others.append(f"{folder.name} ({state})")
            continue
        recipe = toml.parse(
            directory.recipe_file.read_text(encoding="utf-8"), str(directory.recipe_file)
        )
        found.append(FoundRun(directory, recipe, directory.results(), directory.environment()))
    if not found:
        raise ValueError(
            "no run is complete, and a report is made of finished ones. "
            f"Received: run={[str(path) for path in paths]}"
        )
    return found, others


def gather(found: Sequence[FoundRun], surface: bool = False) -> list[Runs]:
    """Put runs together by their data, and by what they differ in besides the seed."""
    by_data: dict[str, list[FoundRun]] = {}
    for run in found:
        by_data.setdefault(_data_key(run), []).append(run)
    several = len(by_data) > 1
    return [
        Runs(f"data-{n}" if several else "", _data_name(runs[0]), _methods(runs), surface)
        for n, runs in enumerate(by_data.values(), 1)
    ]


def _methods(runs: Sequence[FoundRun]) -> tuple[Method, ...]:
    by_recipe: dict[str, list[FoundRun]] = {}
    for run in runs:
        rest = {k: v for k, v in run.recipe.items() if k not in ("seed", "setting")}
        key = [run.environment.get("backend"), rest]
        by_recipe.setdefault(json.dumps(key, sort_keys=True, default=str), []).append(run)
    # The same recipe and seed twice are two runs of their own, not two seeds.
    columns: list[list[FoundRun]] = []
    for same in by_recipe.values():
        rounds: list[list[FoundRun]] = []
        for run in same:
            free = next((r for r in rounds if run.seed not in [o.seed for o in r]), None)
            rounds.append([run]) if free is None else free.append(run)
        columns += rounds
    columns = [sorted(runs, key=lambda run: run.seed) for runs in columns]
    names = _names([runs[0] for runs in columns])
    return tuple(Method(name, tuple(c)) for name, c in zip(names, columns, strict=True))


def _names(firsts: Sequence[FoundRun]) -> list[str]:
    """The recipes' names; of several alike each with what sets it apart."""
    plain = [str(run.recipe.get("name", run.path.name)) for run in firsts]
    named = []
    for name, run in zip(plain, firsts, strict=True):
        alike = [other for n, other in zip(plain, firsts, strict=True) if n == name]
        if len(alike) == 1:
            named.append(name)
            continue
        flat = [flattened(other.recipe) | _outer(other) for other in alike]
        own = flattened(run.recipe) | _outer(run)
        apart = [
            key
            for key in own
            if key != "seed" and len({repr(other.get(key)) for other in flat}) > 1
        ]
        words = ", ".join(f"{key.rpartition('.')[2]}={own[key]}" for key in apart[:3])
        named.append(f"{name} ({words or run.path.name})")
    if len(set(named)) < len(named):
        named = [
            f"{name} ({run.path.name})" if named.count(name) > 1 else name
            for name, run in zip(named, firsts, strict=True)
        ]
    return named


def flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _outer(run: FoundRun) -> dict[str, Any]:
    return {"backend": run.environment.get("backend")}


def _data_key(run: FoundRun) -> str:
    data = {k: v for k, v in run.recipe.get("data", {}).items() if k != "path"}
    key = [data, run.results["class_counts"], run.results["class_names"], run.test["group_classes"]]
    return json.dumps(key, sort_keys=True, default=str)


def _data_name(run: FoundRun) -> str:
    data = run.recipe.get("data", {})
    name = str(data.get("name", "data"))
    ratio = data.get("imbalance_ratio")
    cut = isinstance(ratio, int | float)
    return f"{name}, imbalance ratio {ratio:g}" if cut else name


def _below(path: Path) -> Iterator[Path]:
    """The runs in a folder and its folders; not those within a run."""
    if (path / "recipe.toml").is_file():
        yield path
        return
    if not path.is_dir():
        return
    inner = [p for p in sorted(path.iterdir()) if p.is_dir() and not p.name.startswith(".")]
    inner = [p for p in inner if ".incomplete-" not in p.name]
    for folder in sorted(inner, key=_order(path)):
        yield from _below(folder)


def _order(folder: Path) -> Any:
    """Sort by the rows of a comparison, where the folder is one."""
    rows: list[str] = []
    if kind_of(folder) == "comparison" and (folder / "comparison.json").is_file():
        try:
            rows = [str(row["recipe"]) for row in read_json(folder / "comparison.json")["rows"]]
        except (ValueError, KeyError, TypeError):
            rows = []
    places = {name: place for place, name in enumerate(rows)}
    return lambda path: (places.get(path.name.rpartition("-seed")[0], len(rows)), path.name)


def _at(values: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return float(values) if isinstance(values, int | float) else None


def common_folder(runs: Sequence[FoundRun]) -> Path:
    """The folder that all runs are in."""
    return Path(os.path.commonpath([run.path.absolute().parent for run in runs]))
