"""The runs that a report is made of, as their files tell them."""

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.callbacks.metrics_log import Record
from keras_ccsam.metrics.confusion import read
from keras_ccsam.reporting import predictions
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

    @property
    def commands(self) -> list[str]:
        """What trained the runs, as it may be typed again; each command once."""
        return list(dict.fromkeys(map(_command, self.all)))

    @property
    def command(self) -> str:
        """The command, where one trained them all; else nothing."""
        return self.commands[0] if len(self.commands) == 1 else ""

    def group_of(self, index: int) -> str:
        """The group of a class, or nothing."""
        return next((name for name, classes in self.group_classes.items() if index in classes), "")

    @property
    def test_samples(self) -> list[int]:
        """Test samples of each class."""
        counts: list[int] = read(self.methods[0].first.test["confusion"]).sum(axis=1).tolist()
        return counts


def flattened(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as one, under dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        flat |= flattened(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def _command(run: FoundRun) -> str:
    words = [str(word) for word in run.environment.get("command", [])]
    if not words:
        return "(not recorded)"
    # `python -m keras_ccsam_cli` records the name of its file.
    first = "ccsam" if words[0] in ("__main__.py", "ccsam", "keras_ccsam_cli") else words[0]
    return shlex.join([first, *words[1:]])


def _at(values: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return float(values) if isinstance(values, int | float) else None
