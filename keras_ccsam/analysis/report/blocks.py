"""What a page is made of. Text is text: whatever is in it, it is escaped when it is written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from markupsafe import Markup


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Attributes:
        text: what is read.
        value: what is sorted by; the text by default.
        spread: what follows it in smaller print, such as `± 0.95`.
        best: set in bold.
        picture: a drawing in place of the text.
        note: shown when the pointer rests on it.
        group: one of many, medium, few: a small coloured mark before the text.
    """

    text: str
    value: float | str | None = None
    spread: str = ""
    best: bool = False
    picture: Markup | None = None
    note: str = ""
    group: str = ""

    @property
    def key(self) -> str:
        """What is sorted by, as text."""
        return self.text if self.value is None else str(self.value)


@dataclass(frozen=True)
class Column:
    """The head of a column: its title, whether it holds numbers, and what the title means."""

    title: str
    numeric: bool = True
    note: str = ""


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by each column.

    Attributes:
        columns: the first one holds the names of the rows.
        rows: cells, as many as columns.
        caption: what one sees.
        search: what the search field above it looks for, such as "class"; none without.
        scroll: show a part of a long table, and scroll in it.
    """

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    search: str = ""
    scroll: bool = False
    kind: str = "table"

    def spread_class(self, column: int) -> str:
        """`w6` where the longest spread of a column has six letters: it keeps points in line."""
        longest = max((len(row[column].spread) for row in self.rows), default=0)
        return f"w{min(longest, 12)}"


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a name and the class of its colour, as a line or as a dot."""

    name: str
    series: str
    dot: bool = False


@dataclass(frozen=True)
class Figure:
    """Drawings side by side, under one legend and over one caption.

    Attributes:
        panels: drawings.
        caption: what one sees.
        legend: names and colours.
        command: what made the numbers.
        beside: a small drawing beside the legend, such as a scale of colours.
    """

    panels: Sequence[Markup]
    caption: str
    legend: Sequence[Key] = ()
    command: str = ""
    beside: Markup | None = None
    kind: str = "figure"


@dataclass(frozen=True)
class Text:
    """A paragraph; `small` is for what explains."""

    text: str
    small: bool = False
    kind: str = "text"


@dataclass(frozen=True)
class Points:
    """A list of sentences, each with a word in front that says what it is; or without one."""

    points: Sequence[tuple[str, str]]
    kind: str = "points"


@dataclass(frozen=True)
class Code:
    """Text in a fixed width, such as a recipe or a command."""

    text: str
    label: str
    kind: str = "code"


@dataclass(frozen=True)
class Details:
    """Blocks that are shown on demand."""

    summary: str
    blocks: Sequence[Any]
    kind: str = "details"


@dataclass(frozen=True)
class Tabs:
    """Alternatives, of which one is seen; in print all are."""

    label: str
    tabs: Sequence[tuple[str, Sequence[Any]]]
    kind: str = "tabs"


@dataclass(frozen=True)
class Surface:
    """A surface that can be turned, drawn by plotly.js from the page's own data.

    Attributes:
        label: what it shows.
        x, y: steps along both directions.
        z: heights, row by row; None for what is not finite.
        z_label: what the height is.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    z: Sequence[Sequence[float | None]]
    z_label: str


@dataclass(frozen=True)
class Surfaces:
    """Surfaces side by side, shown on demand: each costs a browser one of few 3-D canvases."""

    surfaces: Sequence[Surface]
    kind: str = "surfaces"


Block: TypeAlias = Table | Figure | Text | Points | Code | Details | Tabs | Surfaces


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        id: its place in the address, small letters and hyphens.
        title: its heading.
        lead: one or two sentences below it.
        blocks: its content.
        command: what would make it, where it is empty.
    """

    id: str
    title: str
    lead: str = ""
    blocks: Sequence[Block] = ()
    command: str = ""
