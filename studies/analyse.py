"""What the study found: paired differences over draws with their intervals, as tables.

    python studies/analyse.py            # every table
    python studies/analyse.py stages     # of one question

`benchmarks/page_tables.py` puts the same tables into docs/study.md.
"""

import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tables import markdown
from studies.question import RESULTS, Grid, Question, Row, load
from studies.question import names as names

GROUPS = ("many", "medium", "few")
LEAST = 3
"""A row of fewer draws is not shown."""
COURSES = ("crt-continued", "ccsam-stage1", "ccsam-stage1 radius_scale=1e-1")
"""The rows of `radius` that are shown while they train."""
PLACES = {"digits": "digits", "cifar-fifth": "a fifth of CIFAR-10-LT", "cifar": "CIFAR-10-LT"}

Measured = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Compared:
    """A row at one ratio, and the row that it is paired with, in the draws that both have."""

    grid: Grid
    ratio: float
    row: Row
    own: tuple[Measured, ...]
    other: tuple[Measured, ...]

    def differences(self, key: str = "balanced") -> list[float]:
        """In points, one per draw."""
        return [100 * (a[key] - b[key]) for a, b in zip(self.own, self.other, strict=True)]

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Of the mean difference."""
        from keras_ccsam.confidence import mean_interval

        return mean_interval(self.differences(), confidence)

    @property
    def where(self) -> str:
        """`digits, ratio 50, epochs=10`."""
        parts = (PLACES[self.grid.place], f"ratio {self.ratio:g}", _network(self.grid))
        return ", ".join(part for part in parts if part)


def found(question: Question, scale: str = "here") -> list[Measured]:
    """The rows that were written down of a question."""
    path = RESULTS / f"{question.name}-{scale}.json"
    if not path.is_file():
        return []
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    rows: list[Measured] = content["rows"]
    return rows


def compared(question: Question, scale: str = "here") -> Iterator[Compared]:
    """Each row with the one it is paired with; a row that is paired with none, with itself."""
    rows = found(question, scale)
    for grid in question.grids:
        if grid.scale != scale:
            continue
        for ratio in grid.ratios:
            for row in grid.rows:
                own = by_draw(rows, grid, ratio, row.label)
                other = by_draw(rows, grid, ratio, row.against or row.label)
                both = [draw for draw in grid.draws if draw in own and draw in other]
                if len(both) >= LEAST:
                    pairs = [(own[draw], other[draw]) for draw in both]
                    yield Compared(grid, ratio, row, *zip(*pairs, strict=True))


def by_draw(rows: Sequence[Measured], grid: Grid, ratio: float, label: str) -> dict[int, Measured]:
    """What was measured of a row of a grid at a ratio, by draw."""
    wanted = (grid.place, grid.setting, ratio, label)
    keys = ("place", "setting", "ratio", "row")
    return {row["draw"]: row for row in rows if tuple(row[key] for key in keys) == wanted}


def _network(grid: Grid) -> str:
    """What the grid changes, without what is the same in every grid of a place."""
    changes = [text for text in grid.setting.split(", ") if not text.startswith("batch_size")]
    return ", ".join(changes)


def signed(interval: tuple[float, float]) -> str:
    """`-1.20 to +0.40`."""
    return f"{interval[0]:+.2f} to {interval[1]:+.2f}"


def _mean(rows: Sequence[Measured], key: str, scale: float = 100.0) -> float:
    return statistics.fmean(scale * row[key] for row in rows)


def answer() -> str:
    """The comparisons that were chosen beforehand, each with an interval for all of them."""
    chosen = [each for name in names() for each in compared(load(name)) if each.row.primary]
    planned = sum(row.primary for name in names() for grid in load(name).grids for row in grid.rows)
    confidence = 1 - 0.05 / planned
    rows = []
    for each in chosen:
        low, high = each.interval(confidence)
        verdict = "gains" if low > 0 else "loses" if high < 0 else "undecided"
        groups = (f"{statistics.fmean(each.differences(group)):+.2f}" for group in GROUPS)
        mean = f"{statistics.fmean(each.differences()):+.2f}"
        where = f"{PLACES[each.grid.place]}, ratio {each.ratio:g}"
        count = str(len(each.own))
        rows.append(
            (
                where,
                f"`{each.row.label}`",
                f"**{verdict}**",
                count,
                mean,
                signed((low, high)),
                *groups,
            )
        )
    heads = (
        "data",
        "against `crt-continued`",
        "here",
        "draws",
        "points",
        f"{confidence:.1%}",
        *GROUPS,
    )
    return markdown(heads, rows, left=3) if rows else "Not run."


def question(name: str, scale: str = "here") -> str:
    """A row for each recipe at each ratio: what it scores, and the difference to its partner."""
    rows = []
    for each in compared(load(name), scale):
        paired = each.row.against is not None
        mean = f"{statistics.fmean(each.differences()):+.2f}" if paired else ""
        interval = signed(each.interval()) if paired else ""
        scores = (f"{_mean(each.own, key):.1f}" for key in ("balanced", *GROUPS, "ece"))
        row = f"`{each.row.label}`"
        if paired and each.row.against != each.grid.rows[0].label:
            row += f" against `{each.row.against}`"
        rows.append((each.where, row, str(len(each.own)), mean, interval, *scores))
    heads = ("data", "row", "draws", "points", "95 %", "balanced", *GROUPS, "ECE")
    return markdown(heads, rows, left=2) if rows else "Not run."


def _recorded(place: str) -> Iterator[Compared]:
    """The rows of `radius` at a place whose first stage was recorded."""
    for each in compared(load("radius")):
        if each.grid.place == place and all(row["recorded"] for row in each.own):
            yield each


def _course(each: Compared, column: str, group: str) -> list[float]:
    """A column of what was recorded of a group, at each epoch that is kept: means of the draws."""
    kept = (row["recorded"][column][group] for row in each.own)
    return [statistics.fmean(values) for values in zip(*kept, strict=True)]


def mechanism(place: str) -> str:
    """What stage 1 does to each group in training, at its last epoch, and what it finds of it."""
    rows = []
    for each in _recorded(place):
        for group in GROUPS:
            last = {
                column: _course(each, column, group)[-1]
                for column in ("step_norm", "gradient_norm", "loss", "margin")
            }
            after = statistics.fmean(100 * row["stage1"][group] for row in each.own)
            step = "0" if each.row.label == "crt-continued" else f"{last['step_norm']:.3g}"
            rest = (f"{last[column]:.3g}" for column in ("gradient_norm", "loss", "margin"))
            rows.append((f"`{each.row.label}`", group, step, *rest, f"{after:.1f}"))
    heads = ("stage 1 of", "classes", "step", "gradient", "loss", "margin", "found of test, %")
    return markdown(heads, rows, left=2) if rows else "Not run."


def course(place: str) -> str:
    """What stage 1 does to the frequent and the rare classes while it trains."""
    rows, epochs = [], []
    for each in _recorded(place):
        if each.row.label not in COURSES:
            continue
        epochs = each.own[0]["recorded"]["epochs"]
        for column, name in (("step_norm", "step"), ("loss", "loss"), ("margin", "margin")):
            if column == "step_norm" and each.row.label == "crt-continued":
                continue
            for group in ("many", "few"):
                values = (f"{value:.3g}" for value in _course(each, column, group))
                rows.append((f"`{each.row.label}`", name, group, *values))
    heads = ("stage 1 of", "what", "classes", *(f"epoch {epoch}" for epoch in epochs))
    return markdown(heads, rows, left=3) if rows else "Not run."


def moved() -> str:
    """Where the second stage moves the features of each group to: means over the draws."""
    path = RESULTS / "moved-here.json"
    if not path.is_file():
        return "Not run."
    found: list[Measured] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    columns = ("step", "norm", "cosine", "gap", "margin", "margin_moved", "column")
    shares = ("beyond", "beyond_moved", "learnt")
    rows = []
    keys = ("place", "epochs", "row")
    for trained in dict.fromkeys(tuple(each[key] for key in keys) for each in found):
        place, epochs, row = trained
        where = f"{PLACES[place]}, {epochs} epochs"
        for group in GROUPS:
            own = [r for r in found if (*(r[key] for key in keys), r["group"]) == (*trained, group)]
            means = (f"{_mean(own, key, 1.0):.2f}" for key in columns)
            percents = (f"{_mean(own, key):.0f}" for key in shares)
            rows.append((where, f"`{row}`", group, str(len(own)), *means, *percents))
    heads = ("data", "classifier of", "classes", "draws", *columns[:-3], "margin", "margin moved")
    heads = (*heads, "column", "beyond, %", "beyond, moved, %", "learnt, %")
    return markdown(heads, rows, left=3)


def coverage(scale: str = "here") -> str:
    """What was asked for, and how much of it was run."""
    rows = []
    for name in names():
        asked = load(name)
        measured = found(asked, scale)
        for grid in asked.grids:
            if grid.scale != scale:
                continue
            for ratio in grid.ratios:
                done = min(len(by_draw(measured, grid, ratio, row.label)) for row in grid.rows)
                state = f"{done} of {len(grid.draws)}" if done else "**not run**"
                where = ", ".join(x for x in (PLACES[grid.place], _network(grid)) if x)
                rows.append((f"`{name}`", where, f"{ratio:g}", state))
    return markdown(("question", "data", "ratio", "draws"), rows, left=2)


def main() -> None:
    """Print the tables."""
    asked = sys.argv[1:] or names()
    print(answer(), end="\n\n")
    for name in asked:
        print(f"{load(name).title}\n\n{question(name)}\n")
    for place in ("digits", "cifar-fifth"):
        print(mechanism(place), end="\n\n")
        print(course(place), end="\n\n")
    print(coverage())


if __name__ == "__main__":
    main()
