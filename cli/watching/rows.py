"""Many runs: one row for each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from .look import COMPLETE, FAILED, GROUPS, KILLED, RUNNING, STALE
from .page import STYLES, Page, Piece, fitted, latest, left, pace
from .watcher import Shown

_SPARK, _REASON = 10, 60
_HEADINGS = {
    "run": "run",
    "state": "state",
    "epoch": "stage, epoch",
    "loss curve": "loss",
    "loss": "loss",
    "accuracy curve": "accuracy",
    "accuracy": "accuracy",
    "groups": "test: many, medium, few",
    "pace": "epoch takes",
    "left": "",
}
# What tells most is the first to be given room.
_BY_WEIGHT = (
    "run",
    "state",
    "epoch",
    "accuracy",
    "left",
    "loss curve",
    "pace",
    "loss",
    "accuracy curve",
    "groups",
)


def rows(runs: Sequence[Shown], page: Page, room: int | None) -> list[Text]:
    """Draw a table.

    Args:
        runs: all of them.
        page: what it is printed on.
        room: rows at most, 3 or more; where they do not hold all runs, the last one says how many
            are lacking.
    """
    chosen = runs if room is None or len(runs) < room else _most_telling(runs, room - 2)
    cells = [_cells(shown, page) for shown in chosen]
    filled = {c for c in _HEADINGS if any(row.get(c, ("", ""))[0] for row in cells)}
    columns = ["run"]
    for column in (c for c in _BY_WEIGHT if c in filled - {"run"}):
        wider = [c for c in _HEADINGS if c in (*columns, column)]
        if sum(_widths(wider, cells)) + 2 * (len(wider) - 1) <= page.width:
            columns = wider
    heading, widths = _heading(columns), dict(zip(columns, _widths(columns, cells), strict=True))
    found = []
    for row in (heading, *cells):
        texts = {c: row.get(c, ("", "")) for c in columns}
        padded = [(text.ljust(widths[c]), style) for c, (text, style) in texts.items()]
        line = fitted(padded, page.width)
        line.rstrip()
        found.append(line)
    lacking = len(runs) - len(chosen)
    return [*found, *([Text(f"and {lacking} more", style="dim")] if lacking else [])]


def _widths(columns: Sequence[str], cells: Sequence[dict[str, Piece]]) -> list[int]:
    """How wide each column is."""
    rows = [_heading(columns), *cells]
    return [max(len(row[column][0]) for row in rows if column in row) for column in columns]


def _heading(columns: Sequence[str]) -> dict[str, Piece]:
    """One word over a curve and its number."""
    heading: dict[str, Piece] = {}
    for column in columns:
        beside = f"{column} curve" in columns
        heading[column] = ("" if beside else _HEADINGS[column], "dim")
    return heading


def _most_telling(runs: Sequence[Shown], room: int) -> list[Shown]:
    """As many runs as fit, in their order: first those that run, then the latest."""
    order = (RUNNING, STALE, KILLED, FAILED, COMPLETE)
    ranked = sorted(range(len(runs)), key=lambda i: (order.index(runs[i].look.state), -i))
    return [runs[i] for i in sorted(ranked[: max(1, room)])]


def _cells(shown: Shown, page: Page) -> dict[str, Piece]:
    look, stage = shown.look, shown.look.stage
    state = look.state
    if state == FAILED and look.reason:
        state = f"failed: {page.writable(look.reason)}"[:_REASON]
    found: dict[str, Piece] = {
        "run": (page.writable(look.name), "bold"),
        "state": (state, STYLES[look.state]),
        "pace": (pace(shown), ""),
        "left": (left(shown), ""),
    }
    if look.scores:
        groups = (format(100 * look.scores[g], ".2f") if g in look.scores else "-" for g in GROUPS)
        found["groups"] = (", ".join(groups), "")
    if stage is None:
        return found
    found["epoch"] = (f"{stage.number}/{len(look.stages)}, {stage.done}/{stage.epochs}", "")
    if stage.done:
        for column, key in (("loss", "loss"), ("accuracy", stage.accuracy_key)):
            values = stage.series(key) if key is not None else []
            if values:
                found[column] = (latest(values), "")
                found[f"{column} curve"] = (page.spark(values, _SPARK), "")
    return found
