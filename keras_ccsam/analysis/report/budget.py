"""A page that stays small whatever it is made of: the heaviest figures and tables are cut short.

Each of them says what it lacks. What is kept is what comes first: the first methods and rows.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keras_ccsam.analysis.report.blocks import Code, Details, Figure, Table, Tabs
from keras_ccsam.analysis.report.page import Page

LIMIT = 1_000_000
"""Bytes of a page without surfaces."""

_ROWS, _LETTERS = 20, 2_000  # of a table and of a text, what is kept at least
_CELL = 60  # of a cell, beside its text
_SPARE = 20_000

Block = Figure | Table | Code


def within(page: Page, limit: int = LIMIT) -> tuple[Page, int]:
    """Cut a page until it is small enough, or has nothing left to cut.

    Args:
        page: without surfaces.
        limit: in bytes.

    Returns:
        The page, and how many of its figures, tables and texts lack something.
    """
    whole = {id(block): block for block in _blocks(page)}
    kept: dict[int, Block] = dict(whole)
    made = page
    size = _size(made)
    while size > limit:
        excess = size - limit + _SPARE
        saved = 0
        while saved < excess:
            key = max(kept, key=lambda k: _weight(kept[k]) if _can(kept[k]) else 0, default=None)
            if key is None or not _can(kept[key]):
                break
            before = _weight(kept[key])
            kept[key] = _halved(kept[key], whole[key])
            saved += before - _weight(kept[key])
        if not saved:
            break
        made = _replaced(page, kept)
        size = _size(made)
    return made, sum(kept[key] is not block for key, block in whole.items())


def _size(page: Page) -> int:
    return len(page.html().encode())


def _blocks(page: Page) -> Iterator[Block]:
    for part in page.parts:
        for section in part.sections:
            yield from _within(section.blocks)


def _within(blocks: Sequence[Any]) -> Iterator[Block]:
    for block in blocks:
        if isinstance(block, Tabs):
            for _, inner in block.tabs:
                yield from _within(inner)
        elif isinstance(block, Details):
            yield from _within(block.blocks)
        elif isinstance(block, Figure | Table | Code):
            yield block


def _weight(block: Block) -> int:
    if isinstance(block, Figure):
        return sum(map(len, block.panels))
    if isinstance(block, Code):
        return len(block.text)
    cells = (cell for row in block.rows for cell in row)
    return sum(_CELL + len(c.text) + len(c.spread) + len(c.picture or "") for c in cells)


def _can(block: Block) -> bool:
    """Whether there is something to cut."""
    if isinstance(block, Figure):
        return bool(block.panels)
    if isinstance(block, Code):
        return len(block.text) > _LETTERS
    return len(block.rows) > _ROWS


def _halved(block: Block, whole: Block) -> Block:
    """Half of it; with a sentence on what is lacking of the whole."""
    if isinstance(block, Figure) and isinstance(whole, Figure):
        some = block.panels[: len(block.panels) // 2]
        lack = f"{len(whole.panels) - len(some)} of {len(whole.panels)} panels are left out"
        return dataclasses.replace(block, panels=some, caption=_said(whole.caption, lack))
    if isinstance(block, Table) and isinstance(whole, Table):
        rows = block.rows[: max(_ROWS, len(block.rows) // 2)]
        lack = f"{len(whole.rows) - len(rows)} of {len(whole.rows)} rows are left out"
        return dataclasses.replace(block, rows=rows, caption=_said(whole.caption, lack))
    text = block.text[: max(_LETTERS, len(block.text) // 2)] if isinstance(block, Code) else ""
    return Code(f"{text}\n...", f"{whole.label} (its beginning)" if isinstance(whole, Code) else "")


def _said(caption: str, lack: str) -> str:
    return f"{caption} To keep this page small, {lack}: report on fewer runs to see them.".strip()


def _replaced(page: Page, kept: dict[int, Block]) -> Page:
    def changed(blocks: Sequence[Any]) -> list[Any]:
        return [_each(block, kept, changed) for block in blocks]

    parts = [
        dataclasses.replace(
            part,
            sections=[dataclasses.replace(s, blocks=changed(s.blocks)) for s in part.sections],
        )
        for part in page.parts
    ]
    return dataclasses.replace(page, parts=parts)


def _each(block: Any, kept: dict[int, Block], changed: Callable[[Sequence[Any]], list[Any]]) -> Any:
    if isinstance(block, Tabs):
        return dataclasses.replace(block, tabs=[(n, changed(inner)) for n, inner in block.tabs])
    if isinstance(block, Details):
        return dataclasses.replace(block, blocks=changed(block.blocks))
    return kept.get(id(block), block)
