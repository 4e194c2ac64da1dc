"""Which recipe is called `best`: the rule that docs/study.md decided on before any of it was run.

    python studies/choice.py

Of each recipe the balanced accuracy on the held-out images after the last epoch: its mean over the
draws at each place, and then the mean of the places. The highest is `best`. Baselines, which are
compared with nothing, cannot be chosen. No test number is read here.
"""

import dataclasses
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.tables import markdown
from studies.analyse import LEAST, PLACES, by_draw, found, signed
from studies.question import load

QUESTION = "best"
CONFIDENCE = 0.95


@dataclasses.dataclass(frozen=True)
class Standing:
    """What a recipe scores on held-out images.

    Attributes:
        recipe: its name.
        scores: of each place, in points, one per draw; every recipe has the same draws.
        candidate: whether it can be chosen.
    """

    recipe: str
    scores: dict[str, tuple[float, ...]]
    candidate: bool

    def at(self, place: str) -> float:
        """The mean over the draws of a place."""
        return statistics.fmean(self.scores[place])

    @property
    def mean(self) -> float:
        """The mean of the places."""
        return statistics.fmean(map(self.at, self.scores))

    def ahead(self, other: "Standing", place: str) -> tuple[float, tuple[float, float]]:
        """How far it is ahead of another at a place, draw by draw: the mean and its interval."""
        from keras_ccsam.confidence import mean_interval

        pairs = zip(self.scores[place], other.scores[place], strict=True)
        gains = [own - others for own, others in pairs]
        return statistics.fmean(gains), mean_interval(gains, CONFIDENCE)


def standings(name: str = QUESTION) -> list[Standing]:
    """Every recipe of the question, the highest mean first; none where a place has too few draws.

    Args:
        name: of a question with one grid for each place.
    """
    asked = load(name)
    rows, scores = found(asked), {}
    for grid in asked.grids:
        values = [by_draw(rows, grid, grid.ratios[0], row.label) for row in grid.rows]
        draws = [draw for draw in grid.draws if all(draw in each for each in values)]
        if len(draws) < LEAST:
            return []
        for row, each in zip(grid.rows, values, strict=True):
            own = tuple(100 * each[draw]["validation"]["balanced"] for draw in draws)
            scores.setdefault(row, {})[grid.place] = own
    all_of_them = [Standing(row.label, own, row.against is not None) for row, own in scores.items()]
    return sorted(all_of_them, key=lambda each: -each.mean)


def candidates(rows: list[Standing]) -> list[Standing]:
    """Those that can be chosen, in their order: the first one is `best`."""
    return [row for row in rows if row.candidate]


def is_one_of_several(rows: list[Standing]) -> bool:
    """Whether the first one cannot be told from the second one at some place."""
    first, second, *_ = candidates(rows)
    return any(first.ahead(second, place)[1][0] <= 0 for place in first.scores)


def table(name: str = QUESTION) -> str:
    """A row for each recipe: its means, and how far it lies behind the one that is chosen."""
    rows = standings(name)
    if not rows:
        return "Not run."
    first = candidates(rows)[0]
    lines = []
    for row in rows:
        behind = ("",) * len(first.scores) if row is first else tuple(_behind(row, first))
        label = f"`{row.recipe}`" + ("" if row.candidate else " (baseline)")
        means = [f"{row.at(place):.2f}" for place in row.scores]
        lines.append((label, *means, f"{row.mean:.2f}", *behind))
    counts = {place: len(values) for place, values in first.scores.items()}
    places = [f"{PLACES[place]}, {count} draws" for place, count in counts.items()]
    heads = ("recipe", *places, "mean of the two")
    return markdown((*heads, *(f"to the first, {PLACES[place]}" for place in counts)), lines)


def _behind(row: Standing, first: Standing) -> list[str]:
    """`-1.20 (-2.00 to -0.40)`, of each place."""
    cells = []
    for place in row.scores:
        mean, interval = row.ahead(first, place)
        cells.append(f"{mean:+.2f} ({signed(interval)})")
    return cells


def main() -> None:
    """Print the table and what follows from it."""
    print(table(), end="\n\n")
    if rows := standings():
        first, second, *_ = candidates(rows)
        print(f"best: {first.recipe}, {first.mean - second.mean:.2f} points before {second.recipe}")
        for place in first.scores:
            mean, interval = first.ahead(second, place)
            print(f"  {PLACES[place]}: {mean:+.2f} ({signed(interval)})")
        print("one of several" if is_one_of_several(rows) else "told from the second one")


if __name__ == "__main__":
    main()
