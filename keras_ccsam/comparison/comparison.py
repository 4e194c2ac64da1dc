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


@dataclasses.dataclass(frozen=True)
class Row:
    """One recipe.

    Attributes:
        recipe: its name.
        description: its one line.
        digest: of the recipe with seed 0.
        results: the content of results.json, one entry per seed.
    """

    recipe: str
    description: str
    digest: str
    results: tuple[dict[str, Any], ...]

    def values(self, column: str) -> list[float | None]:
        """Return a column's value for each seed; accuracies in 0..1, times in milliseconds.

        Args:
            column: "overall", "balanced", "ece", "stage1" (overall accuracy after stage 1),
                "validation" and "validation_balanced" (None without a validation split),
                "ms_per_step", or a group's name.
        """
        if column == "ms_per_step":
            return [r["ms_per_step"] for r in self.results]
        if column == "stage1":
            return [r["stage1"]["overall"] for r in self.results]
        if column in _VALIDATION:
            return [r.get("validation", {}).get(_VALIDATION[column]) for r in self.results]
        if column in ("overall", "balanced", "ece"):
            return [r["test"][column] for r in self.results]
        return [r["test"]["groups"].get(column) for r in self.results]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Several recipes on the same data and seeds.

    Attributes:
        path: the comparison's folder.
        data: the data set's name.
        class_counts: training images of each class.
        seeds: of weights, batches and augmentation.
        rows: one per recipe, in the order asked for.
    """

    path: Path
    data: str
    class_counts: tuple[int, ...]
    seeds: tuple[int, ...]
    rows: tuple[Row, ...]

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of classes that the data has."""
        present = self.rows[0].results[0]["test"]["groups"]
        return tuple(name for name in GROUPS if name in present)

    @property
    def has_validation(self) -> bool:
        """Whether the recipes cut a validation split from the training set."""
        return all("validation" in result for row in self.rows for result in row.results)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows as text: percent, and milliseconds per step of stage 1."""
        validation = tuple(_VALIDATION) if self.has_validation else ()
        header = ["recipe", "overall", *self.groups, "ECE", "after stage 1"]
        header += ["validation", "val. balanced"] if validation else []
        header.append("ms/step")
        columns = ("overall", *self.groups, "ece", "stage1", *validation)
        rows = [
            [
                row.recipe,
                *(table.mean_std(row.values(column), 100.0) for column in columns),
                table.mean_std(row.values("ms_per_step")),
            ]
            for row in self.rows
        ]
        return header, rows

    def caption(self) -> str:
        """Say what the numbers are."""
        shown = " ".join(map(str, self.class_counts[:10]))
        if len(self.class_counts) > 10:
            shown += f" ... {self.class_counts[-1]}"
        classes = self.rows[0].results[0]["test"]["group_classes"]
        sizes = ", ".join(f"{len(classes[name])} {name}" for name in self.groups)
        n = len(self.seeds)
        validation = ""
        if self.has_validation:
            size = self.rows[0].results[0]["validation"]["num_samples"]
            validation = (
                f" validation: overall accuracy on the {size} images cut from the training set, as "
                f"long-tailed as it; val. balanced: the mean over its classes."
            )
        spread = "mean ± standard deviation over" if n > 1 else "from"
        return (
            f"{self.data}, training images per class: {shown} ({sizes}). Test accuracy in percent "
            f"after the last epoch, {spread} {n} seed{'s' * (n > 1)} "
            f"({', '.join(map(str, self.seeds))}).{validation} ms/step: median over the epochs of "
            f"stage 1 after the first."
        )

    def table(self) -> str:
        """Return the table and its caption as plain text."""
        return f"{table.text_table(*self.cells())}\n\n{self.caption()}"

    def markdown(self) -> str:
        """Return the table and its caption as Markdown."""
        return f"{table.markdown(*self.cells())}\n\n{self.caption()}\n"

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
                    **{column: summary(row.values(column)) for column in columns},
                }
                for row in self.rows
            ],
        }


def summary(values: Sequence[float | None]) -> dict[str, Any]:
    """Return the values with their mean and sample deviation; None where a value is missing."""
    numbers = [value for value in values if value is not None]
    whole = bool(numbers) and len(numbers) == len(values)
    return {
        "values": list(values),
        "mean": statistics.fmean(numbers) if whole else None,
        "std": statistics.stdev(numbers) if whole and len(numbers) > 1 else None,
    }
