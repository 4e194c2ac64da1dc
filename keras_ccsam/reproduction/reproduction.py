"""A published table beside the same rows trained here."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_ccsam import text_table as table
from keras_ccsam.comparison.comparison import GROUPS, Row, summary
from keras_ccsam.recipes import Recipe, tables
from keras_ccsam.reproduction.figure import Figure
from keras_ccsam.reproduction.plan import readings

_SCALES = {
    "tiny": "Scale tiny: the embedded digits in place of CIFAR, at half of each imbalance "
    "ratio. It shows that everything runs; the published numbers are of CIFAR and cannot be "
    "compared with these.",
    "small": "Scale small: a smaller network and a tenth of the paper's epochs. The level cannot "
    "be compared with the published one, only the order of the rows.",
    "full": "Scale full: the paper's network and schedule.",
}


@dataclasses.dataclass(frozen=True)
class ReproducedRow:
    """One row of the table.

    Attributes:
        source: the row as it was published.
        recipe: what was trained for it.
        folder: of the comparison that its runs are in.
        result: of every seed; `None` if a run is missing.
        missing: why a run is missing, else "".
    """

    source: tables.Row
    recipe: Recipe
    folder: Path
    result: Row | None
    missing: str = ""


@dataclasses.dataclass(frozen=True)
class Reproduction:
    """A published table or figure, trained anew.

    Attributes:
        name: `"table1"`, as `recipes.tables.names()` lists them.
        table: what was published.
        scale: `"tiny"`, `"small"` or `"full"`.
        seeds: of weights, batches and augmentation.
        backend: Keras'.
        overrides: what was changed in every recipe.
        path: the folder.
        rows: in the order of the table.
        figure: pictures and their numbers, of a figure that is not one of accuracies alone.
    """

    name: str
    table: tables.Table
    scale: str
    seeds: tuple[int, ...]
    backend: str
    overrides: tuple[str, ...]
    path: Path
    rows: tuple[ReproducedRow, ...]
    figure: Figure | None = None

    @property
    def missing(self) -> dict[str, list[str]]:
        """The rows without a result, by the reason."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if row.result is None:
                found.setdefault(row.missing, []).append(f"{row.source.label} ({row.source.place})")
        return found

    def base(self, row: ReproducedRow) -> ReproducedRow | None:
        """Return the row that `row` adds something to, if the table names one."""
        wanted = (row.source.over, row.source.place)
        return next((r for r in self.rows if (r.source.label, r.source.place) == wanted), None)

    def ours(self, row: ReproducedRow) -> list[float | None]:
        """Return one value per seed: accuracy in percent, or the time of a step over the base's."""
        if row.result is None:
            return []
        if self.table.measure != "time":
            return [100.0 * value for value in row.result.values("overall") if value is not None]
        base = self.base(row) or row
        if base.result is None:
            return [None]
        pairs = zip(
            row.result.values("ms_per_step"), base.result.values("ms_per_step"), strict=True
        )
        return [own / other if own and other else None for own, other in pairs]

    def published(self, row: ReproducedRow) -> float | None:
        """Return the published number in the unit of `ours`."""
        own = row.source.published
        if self.table.measure != "time" or own is None:
            return own
        other = (self.base(row) or row).source.published
        return own / other if other else None

    def difference(self, row: ReproducedRow) -> float | None:
        """Return our mean less the published number."""
        return _less(summary(self.ours(row))["mean"], self.published(row))

    def gain(self, row: ReproducedRow) -> float | None:
        """Return our mean less that of the base row."""
        base = self.base(row)
        if base is None:
            return None
        return _less(summary(self.ours(row))["mean"], summary(self.ours(base))["mean"])

    def published_gain(self, row: ReproducedRow) -> float | None:
        """Return the published number less that of the base row."""
        base = self.base(row)
        return None if base is None else _less(self.published(row), self.published(base))

    def best(self) -> tuple[str, ...]:
        """Return the label of the row of the highest mean accuracy, or of several that share it."""
        means = {
            row.source.label: summary(self.ours(row))["mean"]
            for row in self.rows
            if row.result is not None
        }
        highest = max(means.values(), default=None)
        return tuple(label for label, mean in means.items() if mean == highest)

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Return header and rows as text; columns that no row could fill are left out."""
        columns = self._columns()
        rows = [[row.source.label, *(cell(row) for _, cell in columns)] for row in self.rows]
        return ["row", *(heading for heading, _ in columns)], rows

    def caption(self) -> str:
        """Say what the numbers are, and how far they can be compared."""
        parts = [f"{self.table.title} ({self.table.source}).", self.table.note]
        parts += [_SCALES[self.scale], self.table.selection, self._numbers(), self._best()]
        parts += readings(row.recipe for row in self.rows)
        if self.overrides:
            parts.append(f"Changed: {', '.join(self.overrides)}.")
        for reason, rows in self.missing.items():
            parts.append(f"Missing: {', '.join(rows)}: {reason}")
        return " ".join(part for part in parts if part)

    def text(self) -> str:
        """Return the table and its caption as plain text."""
        figure = "" if self.figure is None else f"\n\n{self.figure.text()}"
        return f"{table.text_table(*self.cells())}\n\n{self.caption()}{figure}"

    def markdown(self) -> str:
        """Return the table and its caption as Markdown."""
        figure = "" if self.figure is None else f"\n{self.figure.markdown()}\n"
        return f"{table.markdown(*self.cells())}\n\n{self.caption()}\n{figure}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types; accuracies in percent, `ms_per_step` in milliseconds."""
        return {
            "kind": "reproduction",
            "table": self.name,
            "title": self.table.title,
            "source": self.table.source,
            "measure": self.table.measure,
            "scale": self.scale,
            "seeds": list(self.seeds),
            "backend": self.backend,
            "overrides": list(self.overrides),
            "complete": not self.missing,
            "published_best": self.table.published_best or None,
            "best": list(self.best()) if self.table.published_best else None,
            "rows": [self._row_dict(row) for row in self.rows],
            **({} if self.figure is None else {"figure": self.figure.content}),
        }

    def _row_dict(self, row: ReproducedRow) -> dict[str, Any]:
        columns = (*GROUPS, "ms_per_step")
        scales = (*(100.0 for _ in GROUPS), 1.0)
        return {
            "label": row.source.label,
            "data": row.source.data,
            "imbalance_ratio": row.source.imbalance_ratio,
            "over": row.source.over or None,
            "recipe": row.recipe.name,
            "setting": row.recipe.setting,
            "trained_imbalance_ratio": row.recipe.data.imbalance_ratio,
            "digest": row.recipe.digest(),
            "folder": row.folder.relative_to(self.path).as_posix(),
            "published": self.published(row),
            "ours": summary(self.ours(row)),
            "difference": self.difference(row),
            "published_gain": self.published_gain(row),
            "gain": self.gain(row),
            **{
                column: summary(_scaled(row, column, scale))
                for column, scale in zip(columns, scales, strict=True)
            },
            "missing": row.missing or None,
        }

    def _columns(self) -> list[tuple[str, Any]]:
        """The columns after the label: heading, and the function that fills a row's cell."""
        published = any(row.source.published is not None for row in self.rows)
        columns: list[tuple[str, Any]] = [("data", lambda row: row.source.place)]
        if self.scale == "tiny":
            columns.append(("ours on", lambda row: row.folder.name))
        if self.table.measure == "time":
            columns += [("published h", lambda row: _number(row.source.published))]
            columns += [("published ratio", lambda row: _number(self.published(row)))]
            columns += [("our ratio", lambda row: table.mean_std(self.ours(row)))]
            columns += [("ms/step", lambda row: table.mean_std(_scaled(row, "ms_per_step")))]
            return columns
        if published:
            columns.append(("published", lambda row: _number(self.published(row))))
        columns.append(("ours", lambda row: table.mean_std(self.ours(row))))
        if published and self.scale == "full":
            columns.append(("difference", lambda row: _number(self.difference(row), "+")))
        if any(row.source.over for row in self.rows):
            if published:
                columns.append(
                    ("published gain", lambda row: _number(self.published_gain(row), "+"))
                )
            columns.append(("our gain", lambda row: _number(self.gain(row), "+")))
        for group in GROUPS:
            columns.append(
                (group, lambda row, name=group: table.mean_std(_scaled(row, name, 100.0)))
            )
        return columns

    def _numbers(self) -> str:
        n = len(self.seeds)
        spread = "mean ± standard deviation over" if n > 1 else "from"
        seeds = f"{spread} {n} seed{'s' * (n > 1)} ({', '.join(map(str, self.seeds))})"
        over = " or ".join(dict.fromkeys(row.source.over for row in self.rows if row.source.over))
        if self.table.measure == "time":
            return (
                f"Ours: {self.backend}, ms/step: median over the epochs of stage 1 after the "
                f"first; ratio: to {over}; {seeds}."
            )
        gain = f" Gain: over {over}." if over else ""
        return (
            f"Ours: {self.backend}, test accuracy in percent after the last epoch, {seeds}.{gain}"
        )

    def _best(self) -> str:
        published, best = self.table.published_best, self.best()
        if not published or not best:
            return ""
        return f"Best here: {', '.join(best)}; published as best: {published}."


def _scaled(row: ReproducedRow, column: str, scale: float = 1.0) -> list[float | None]:
    values = [] if row.result is None else row.result.values(column)
    return [None if value is None else scale * value for value in values]


def _less(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"
