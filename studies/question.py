"""A question of the study: which rows are trained on which data, and which are compared.

A question is a TOML file beside this one:

    title = "..."
    [[grids]]
    scale = "here"                  # what a CPU runs; "full": the published schedule, for a GPU
    place = "digits"                # a key of `PLACES`
    ratios = [10, 50, 100]
    draws = [100, 101, 102]         # each draws other images, and is the seed of its runs
    overrides = ["stage1.epochs=10"]  # of every row
    record = ["radius"]             # as in `ccsam compare --record`
    [[grids.rows]]
    recipe = "crt-continued"
    [[grids.rows]]
    recipe = "ccsam-stage1"
    overrides = ["stage1.method.radius_scale=1e-1"]
    against = "crt-continued"       # the row that it is paired with, draw by draw
    primary = true                  # one of the comparisons that the page answers with
"""

import dataclasses
import hashlib
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
RESULTS = FOLDER / "results"
SCALES = ("here", "full")

# Where rows are trained: a setting, and what is changed in its data and network. Of CIFAR-10-LT a
# fifth of each class trains and the rest validates, so that a CPU can train it to the end.
PLACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "digits": ("digits-lt", ()),
    "cifar-fifth": ("cifar10-lt-small", ("data.validation_fraction=0.8",)),
    "cifar": ("cifar10-lt", ()),
}
# Of every place: the draw decides which images are kept, and all rows have the same groups.
_DATA = ("data.protocol=seeded", "groups.rule=thirds")


@dataclasses.dataclass(frozen=True)
class Row:
    """A recipe with its changes, and the row that it is compared with."""

    recipe: str
    overrides: tuple[str, ...] = ()
    against: str | None = None
    primary: bool = False

    @property
    def label(self) -> str:
        """`ccsam-stage1 radius_scale=1e-1`."""
        return " ".join((self.recipe, *map(_short, self.overrides)))


@dataclasses.dataclass(frozen=True)
class Grid:
    """Rows that are trained on the same data, for each ratio and draw."""

    question: str
    scale: str
    place: str
    ratios: tuple[float, ...]
    draws: tuple[int, ...]
    rows: tuple[Row, ...]
    overrides: tuple[str, ...] = ()
    record: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        labels = [row.label for row in self.rows]
        for known, given in ((SCALES, self.scale), (PLACES, self.place)):
            if given not in known:
                raise ValueError(f"{self.question}: one of {', '.join(known)}. Received: {given!r}")
        if len(set(labels)) < len(labels):
            raise ValueError(f"{self.question}: each row once. Received: {labels}")
        for row in self.rows:
            if row.against is not None and row.against not in labels:
                raise ValueError(
                    f"{self.question}: `against` must be a row's label. Received: {row.against!r}"
                )

    @property
    def setting(self) -> str:
        """What changes every row: `epochs=160`, or ""."""
        return ", ".join(map(_short, self.overrides))

    def cells(self) -> Iterator[tuple[int, float]]:
        """Each draw with each ratio: all ratios of a draw before the next one."""
        return ((draw, ratio) for draw in self.draws for ratio in self.ratios)

    def data(self, draw: int, ratio: float) -> tuple[str, ...]:
        """What is changed in the data of a cell."""
        own = (f"data.imbalance_ratio={ratio:g}", f"data.seed={draw}")
        return (*_DATA, *own, *PLACES[self.place][1])


@dataclasses.dataclass(frozen=True)
class Question:
    """A file of grids."""

    name: str
    title: str
    grids: tuple[Grid, ...]
    digest: str


def names() -> list[str]:
    """The questions that are there."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load(name: str) -> Question:
    """Read a question.

    Raises:
        ValueError: there is no such file, or a value is none that is known.
    """
    path = FOLDER / f"{name}.toml"
    if not path.is_file():
        raise ValueError(f"a question is one of {', '.join(names())}. Received: {name!r}")
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    grids = tuple(_grid(name, values) for values in content["grids"])
    return Question(name, content["title"], grids, _digest(content))


def _short(override: str) -> str:
    """`alpha_max=0.3` of `stage2.alpha_max=0.3`."""
    key, _, value = override.partition("=")
    return f"{key.rpartition('.')[2]}={value}"


def _grid(question: str, values: dict[str, Any]) -> Grid:
    rows = tuple(Row(**_tuples(row)) for row in values.pop("rows"))
    return Grid(question=question, rows=rows, **_tuples(values))


def _tuples(values: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}


def _digest(content: dict[str, Any]) -> str:
    """16 hex digits of everything that the file asks for."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
