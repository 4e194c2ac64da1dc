"""What a figure shows beside the accuracies of its rows."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_ccsam import text_table as table

Cells = tuple[list[str], list[list[str]]]
"""Header and rows of a table, as text."""


@dataclasses.dataclass(frozen=True)
class Figure:
    """Pictures, and what they show in numbers.

    Attributes:
        pictures: PNG files.
        tables: the numbers.
        caption: what was computed, and how.
        content: everything as JSON types.
    """

    pictures: tuple[Path, ...]
    tables: tuple[Cells, ...]
    caption: str
    content: dict[str, Any]

    def text(self) -> str:
        """Return tables, caption and where the pictures are, as plain text."""
        shown = [table.text_table(header, rows, left=header[:2]) for header, rows in self.tables]
        places = "\n".join(f"Picture: {path}" for path in self.pictures)
        return "\n\n".join(part for part in (*shown, self.caption, places) if part)

    def markdown(self) -> str:
        """Return the same as Markdown, with the pictures in it."""
        shown = [table.markdown(header, rows) for header, rows in self.tables]
        pictures = [f"![{path.stem}]({path.name})" for path in self.pictures]
        return "\n\n".join(part for part in (*pictures, *shown, self.caption) if part)
