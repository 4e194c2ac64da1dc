"""The table of a comparison: mean and standard deviation over seeds, one row per recipe."""

import dataclasses
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from keras_ccsam import text_table as table

GROUPS = ("many", "medium", "few")
# Columns on the validation split, with their names in a report.
_VALIDATION = {"validation": "overall", "validation_balanced": "balanced"}
_SHOW = "`ccsam recipes show NAME` has them"
# Heads differ by less from method to method: a bias for each class, a scale.
_ALIKE = 1.1


@dataclasses.dataclass(frozen=True)
class MissingRun:
    """A run that came to no end, and has no results.

    Attributes:
        recipe: its name.
        seed: of the run.
        reason: in one line.
        how: `"diverged"`, or `"failed"` for any other reason.
    """

    recipe: str
    seed: int
    reason: str
    how: str = "diverged"


@dataclasses.dataclass(frozen=True)
class Row:
    """One recipe.

    Attributes:
        recipe: its name.
        description: its one line.
        digest: of the recipe with seed 0.
        results: the content of results.json, one entry per seed; None of a run without any.
        readings: what in the recipe is our own reading.
    """

    recipe: str
    description: str
    digest: str
    results: tuple[dict[str, Any] | None, ...]
    readings: tuple[str, ...] = ()

    def values(self, column: str) -> list[float | None]:
        """Return a column's value for each seed; accuracies in 0..1, times in milliseconds.

        Of a run without results it is None.

        Args:
            column: "overall", "balanced", "ece", "stage1" (overall accuracy after stage 1),
                "validation" and "validation_balanced" (None without a validation split),
                "ms_per_step", or a group's name.
        """
        return [None if found is None else _value(found, column) for found in self.results]

    @property
    def parameters(self) -> int | None:
        """Weights of the network, classifier included; None where no run has results."""
        return next((found.get("parameters") for found in self.results if found is not None), None)


def _value(found: dict[str, Any], column: str) -> float | None:
    value: float | None
    if column == "ms_per_step":
        value = found["ms_per_step"]
    elif column == "stage1":
        value = found["stage1"]["overall"]
    elif column in _VALIDATION:
        value = found.get("validation", {}).get(_VALIDATION[column])
    elif column in ("overall", "balanced", "ece"):
        value = found["test"][column]
    else:
        value = found["test"]["groups"].get(column)
    return value


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several recipes on the same data and seeds.

    Attributes:
        path: the comparison's folder.
        data: the data set's name.
        class_counts: training images of each class.
        seeds: of weights, batches and augmentation.
        rows: one per recipe, in the order asked for.
        missing: the runs that diverged or failed. At least one run has results. One without them
            that is not here has not been trained yet.
    """

    path: Path
    data: str
    class_counts: tuple[int, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]
    missing: tuple[MissingRun, ...] = ()

    @property
    def results(self) -> list[dict[str, Any]]:
        """What the runs that have results found, row by row."""
        return [found for row in self.rows for found in row.results if found is not None]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of classes that the data has."""
        present = self.results[0]["test"]["groups"]
        return tuple(name for name in GROUPS if name in present)

    @property
    def has_validation(self) -> bool:
        """Whether the recipes cut a validation split from the training set."""
        return all("validation" in result for result in self.results)

    @property
    def networks_differ(self) -> bool:
        """Whether the recipes train networks of different sizes, which accuracies do not tell."""
        sizes = [row.parameters for row in self.rows if row.parameters]
        return len(sizes) > 1 and max(sizes) > _ALIKE * min(sizes)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows as text: percent, and milliseconds per step of stage 1."""
        validation = tuple(_VALIDATION) if self.has_validation else ()
        header = ["recipe", "overall", *self.groups, "ECE", "after stage 1"]
        header += ["validation", "val. balanced"] if validation else []
        header += ["weights"] if self.networks_differ else []
        header.append("ms/step")
        columns = ("overall", *self.groups, "ece", "stage1", *validation)
        rows = [
            [
                row.recipe,
                *(table.mean_std(row.values(column), 100.0) for column in columns),
                *([_millions(row.parameters)] if self.networks_differ else []),
                table.mean_std(row.values("ms_per_step")),
            ]
            for row in self.rows
        ]
        for cells, row in zip(rows, self.rows, strict=True):
            cells[1] = self.lack(row) or cells[1]
        return header, rows

    def lack(self, row: Row) -> str:
        """Why a row has no means: `"diverged"`, `"failed"`, `"not yet"`; "" where it has."""
        if None not in row.results:
            return ""
        return next((run.how for run in self.missing if run.recipe == row.recipe), "not yet")

    def caption(self) -> str:
        """Say what the numbers are."""
        shown = " ".join(map(str, self.class_counts[:10]))
        if len(self.class_counts) > 10:
            shown += f" ... {self.class_counts[-1]}"
        classes = self.results[0]["test"]["group_classes"]
        sizes = ", ".join(f"{len(classes[name])} {name}" for name in self.groups)
        n = len(self.seeds)
        validation = ""
        if self.has_validation:
            size = self.results[0]["validation"]["num_samples"]
            validation = (
                f" validation: overall accuracy on the {size} images cut from the training set, as "
                f"long-tailed as it; val. balanced: the mean over its classes."
            )
        weights = ""
        if self.networks_differ:
            weights = " weights: of the network; compare the methods within one network."
        spread = "mean ± standard deviation over" if n > 1 else "from"
        return (
            f"{self.data}, training images per class: {shown} ({sizes}). Test accuracy in percent "
            f"after the last epoch, {spread} {n} seed{'s' * (n > 1)} "
            f"({', '.join(map(str, self.seeds))}).{validation}{weights} ms/step: median over the "
            f"epochs of stage 1 after the first."
        )

    def table(self) -> str:
        """Return the table and its caption as plain text."""
        return "\n\n".join([table.text_table(*self.cells()), *self._below()])

    def markdown(self) -> str:
        """Return the table and its caption as Markdown."""
        return "\n\n".join([table.markdown(*self.cells()), *self._below()]) + "\n"

    def _below(self) -> list[str]:
        """What stands below the table."""
        return [self.caption(), *self.readings(), *self.reasons()]

    def readings(self) -> list[str]:
        """Say which recipes have parts that no source says; nothing where none has."""
        names = ", ".join(row.recipe for row in self.rows if row.readings)
        return [f"With readings of our own ({_SHOW}): {names}"] if names else []

    def reasons(self) -> list[str]:
        """Say of each run that is missing why."""
        return [
            f"{run.recipe}, seed {run.seed}, {run.how}: {table.shown(run.reason)}"
            for run in self.missing
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types: values of each seed, mean and standard deviation."""
        validation = tuple(_VALIDATION) if self.has_validation else ()
        columns = ("overall", *self.groups, "balanced", "ece", "stage1", *validation, "ms_per_step")
        return {
            "kind": "comparison",
            "data": self.data,
            "class_counts": list(self.class_counts),
            "seeds": list(self.seeds),
            "rows": [
                {
                    "recipe": row.recipe,
                    "description": row.description,
                    "digest": row.digest,
                    "readings": list(row.readings),
                    "parameters": row.parameters,
                    **{column: summary(row.values(column)) for column in columns},
                }
                for row in self.rows
            ],
            "missing": [dataclasses.asdict(run) for run in self.missing],
        }


def _millions(count: int | None) -> str:
    return "none" if count is None else f"{count / 1e6:.2f} M"


def summary(values: Sequence[float | None]) -> dict[str, Any]:
    """Return the values with their mean and sample deviation; None where a value is missing."""
    numbers = [value for value in values if value is not None]
    whole = bool(numbers) and len(numbers) == len(values)
    return {
        "values": list(values),
        "mean": statistics.fmean(numbers) if whole else None,
        "std": statistics.stdev(numbers) if whole and len(numbers) > 1 else None,
    }
