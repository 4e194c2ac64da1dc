"""The tables and figures of the CC-SAM paper's appendix, as rows that can be trained.

Each is a TOML file in `tables` beside this module: adding a file adds a name. It needs pydantic and
no Keras: the command line asks it before Keras is imported.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from keras_ccsam.recipes import known, toml
from keras_ccsam.recipes.words import requirement


class _Closed(BaseModel):
    """An unknown key is an error, and a value never changes after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Row(_Closed):
    """One number of a table and what has to be trained for it."""

    label: str = Field(min_length=1, description="the row's name in the source")
    recipe: str = Field(description="method, as `ccsam recipes list` prints them")
    data: Literal["cifar10-lt", "cifar100-lt"] = Field(description="dataset")
    imbalance_ratio: float = Field(ge=1, description="largest class count over smallest, no unit")
    overrides: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="changes to the recipe, as key=value"
    )
    published: float | None = Field(None, gt=0, description="percent, or hours in a table of time")
    on: str = Field("", description="setting that was trained in the data's place, if another was")
    over: str = Field("", description="label of the row on the same data that this one adds to")

    @property
    def place(self) -> str:
        """The data: the published `cifar10-lt 100`, or the setting in its place."""
        return self.on or f"{self.data} {self.imbalance_ratio:g}"


class Claim(_Closed):
    """What the source says in words of one row beside another, as a measure of both."""

    text: str = Field(min_length=1, description="the sentence, shortened")
    row: str = Field(description="label of the row it speaks of")
    than: str = Field(description="label of the row it is compared with")
    measure: Literal["near", "whole", "far", "asymmetry"] = Field(
        description="of the landscape: the loss's mean rise near the weights, everywhere, or at "
        "the rim; or how unlike opposite sides are"
    )
    expected: Literal["lower", "higher"] = Field(description="the row's value beside the other's")
    groups: Annotated[tuple[Literal["overall", "head", "tail"], ...], Field(strict=False)] = Field(
        min_length=1, description="the panels it speaks of"
    )


class Table(_Closed):
    """A table or figure: its rows in their order."""

    title: str = Field(min_length=1, description="one line")
    source: str = Field(min_length=1, description="where the published numbers stand")
    note: str = Field("", description="what a reader should know before comparing")
    selection: str = Field("", description="how the published numbers were chosen, where known")
    protocol: Literal["ablation", "main"] = Field(
        "ablation", description="of the CC-SAM paper: mixup, or AutoAugment and Cutout in its place"
    )
    measure: Literal["accuracy", "time", "bound", "landscape"] = Field(
        "accuracy",
        description="test accuracy, the time of a training step over another row's, the bound over "
        "the epochs, or the loss around the trained weights",
    )
    published_best: str = Field("", description="label of the row that the source calls best")
    rows: Annotated[tuple[Row, ...], Field(strict=False, min_length=1)]
    claims: Annotated[tuple[Claim, ...], Field(strict=False)] = Field(
        (), description="what the source says in words, to be tested in numbers"
    )

    @model_validator(mode="after")
    def _rows_fit_together(self) -> "Table":
        rows = [(row.label, row.place) for row in self.rows]
        for row in self.rows:
            if rows.count((row.label, row.place)) > 1:
                raise ValueError(
                    f"rows on the same data need different labels. Received: label={row.label!r}"
                )
            if row.over and ((row.over, row.place) not in rows or row.over == row.label):
                raise ValueError(
                    f"over must be the label of another row on {row.place}. "
                    f"Received: over={row.over!r}"
                )
        labels = [row.label for row in self.rows]
        for claim in self.claims:
            for label in (claim.row, claim.than):
                if label not in labels:
                    raise ValueError(
                        "a claim must speak of the labels of rows. "
                        f"Received: {label!r} in the claim {claim.text!r}"
                    )
        if self.published_best and self.published_best not in (label for label, _ in rows):
            raise ValueError(
                f"published_best must be the label of a row. "
                f"Received: published_best={self.published_best!r}"
            )
        return self

    @classmethod
    def from_toml(cls, text: str, source: str = "table") -> "Table":
        """Read a table.

        Raises:
            ValueError: `text` is no TOML, or no valid table; one line with the key and its value.
        """
        return cls.from_values(toml.parse(text, source), source)

    @classmethod
    def from_values(cls, values: dict[str, Any], source: str = "table") -> "Table":
        """Check what was read.

        Raises:
            ValueError: as `from_toml`.
        """
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ValueError(f"{source}: {_explain(error.errors()[0])}") from None


def names() -> tuple[str, ...]:
    """Return the names of the tables and figures."""
    return known.stems("tables")


def load(name: str) -> Table:
    """Read a table of the package.

    Raises:
        ValueError: there is none of that name.
    """
    known.check("table", name, "tables")
    values = _read(name)
    if "part_of" in values:
        values = _part(values)
    return Table.from_values(values, f"tables/{name}.toml")


def _read(name: str) -> dict[str, Any]:
    return toml.parse(known.builtin("tables", name), f"tables/{name}.toml")


def _part(values: dict[str, Any]) -> dict[str, Any]:
    """Return some rows of another table, and what is claimed of them, under a title of its own."""
    values = dict(values)
    whole = _read(values.pop("part_of"))
    labels = values.pop("labels")
    own = {
        "rows": [row for row in whole["rows"] if row["label"] in labels],
        "claims": [c for c in whole["claims"] if {c["row"], c["than"]} <= set(labels)],
    }
    return whole | own | values


def _explain(problem: Any) -> str:
    key = ".".join(map(str, problem["loc"]))
    if problem["type"] == "value_error" and not key:
        return str(problem["msg"]).removeprefix("Value error, ")
    if problem["type"] == "missing":
        return f"the table lacks {key!r}. Received: keys={sorted(problem['input'])}"
    if problem["type"] == "extra_forbidden":
        known = Row.model_fields if key.startswith("rows.") else Table.model_fields
        return (
            f"unknown key {key!r} (known here: {', '.join(known)}). "
            f"Received: {key}={problem['input']!r}"
        )
    return f"{key} {requirement(problem)}. Received: {key}={problem['input']!r}"
