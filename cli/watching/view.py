"""What is printed of several runs: a block for each, or a row where there are many."""

from __future__ import annotations

from rich.text import Text

from .look import FAILED, Stage
from .page import STYLES, Page, Piece, fitted, latest, left, pace
from .rows import rows
from .sparkline import Series
from .watcher import Frame, Shown

_SPARK = 24
# More runs than that get a row each, where the height of a terminal does not decide.
_BLOCKS = 4


def lines(frame: Frame, page: Page) -> list[Text]:
    """Draw all runs.

    Returns:
        Rows of at most `page.width` columns; of at least five rows, at most `page.height`.
    """
    if not frame.runs:
        return [fitted([("no run has begun yet", "dim")], page.width)]
    summary = [_summary(frame, page)] if len(frame.runs) > 1 else []
    found: list[Text] = []
    for shown in frame.runs:
        found += [*([Text("")] if found else []), *_block(shown, page)]
    found += [Text(""), *summary] if summary else []
    if page.height is None:
        return found if len(frame.runs) <= _BLOCKS else rows(frame.runs, page, None) + summary
    if len(found) <= page.height:
        return found
    if not summary:
        return found[: page.height]
    return rows(frame.runs, page, max(3, page.height - len(summary))) + summary


def _block(shown: Shown, page: Page) -> list[Text]:
    """A run in several rows: its state, its stages, and what else is known."""
    look = shown.look
    found = [_heading(shown, page)]
    if look.reason:
        found.append([(f"  {page.writable(look.reason)}", STYLES[FAILED])])
    found += [
        _curves(stage, f"stage {stage.number}" if len(look.stages) > 1 else "", page)
        for stage in look.stages
        if stage.done
    ]
    if look.scores:
        scores = [(f"{group} {100 * value:.2f}", "") for group, value in look.scores.items()]
        found.append([("  test %", "dim"), *scores])
    for name, values in look.radius.items():
        label = f"  radius {page.writable(name)}".rstrip()
        found.append([(label, "dim"), (_curve(values, page, ".3g"), "")])
    return [fitted(pieces, page.width) for pieces in found]


def _heading(shown: Shown, page: Page) -> list[Piece]:
    look, stage = shown.look, shown.look.stage
    name, half = page.writable(look.name), page.width // 2
    found: list[Piece] = [
        (name if len(name) <= half else f"..{name[2 - half :]}", "bold"),
        (look.state, STYLES[look.state]),
    ]
    if stage is not None:
        found.append((f"stage {stage.number}/{len(look.stages)}", ""))
        found.append((f"epoch {stage.done}/{stage.epochs}", ""))
    if pace(shown):
        found.append((f"{pace(shown)} per epoch", ""))
    if left(shown):
        found.append((left(shown), ""))
    return found


def _curves(stage: Stage, label: str, page: Page) -> list[Piece]:
    losses, validation = stage.series("loss"), stage.series("val_loss")
    found: list[Piece] = [(f"  {label}", "dim")] if label else []
    found.append((f"{'' if label else '  '}loss {_curve(losses, page)}", ""))
    key = stage.accuracy_key
    if key is not None:
        name = "validation accuracy" if key.startswith("val_") else "accuracy"
        found.append((f"{name} {_curve(stage.series(key), page)}", ""))
    if validation[-1] is not None:
        found.append((f"validation loss {latest(validation)}", "dim"))
    return found


def _summary(frame: Frame, page: Page) -> Text:
    counts = ", ".join(f"{count} {state}" for state, count in frame.counts().items())
    return fitted([(f"{len(frame.runs)} runs: {counts}", "dim")], page.width)


def _curve(values: Series, page: Page, digits: str = ".4f") -> str:
    """A series and its last value."""
    width = max(4, min(_SPARK, page.width // 5))
    return f"{page.spark(values, width)} {latest(values, digits)}".lstrip()
