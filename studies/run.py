"""Trains the study of docs/study.md, question by question, and goes on where it was interrupted.

    python studies/run.py here --places digits --backend jax
    python studies/run.py here --places cifar-fifth --backend torch --path CIFAR
    python studies/run.py full --path CIFAR            # the published schedule, for a GPU
    python studies/run.py full --toy --out runs/toy    # the same rows, an epoch each, on the digits

Runs lie below `--out`, one folder for each place, ratio and draw; what questions have in common is
trained once. After each folder its rows are written to studies/results/QUESTION-SCALE.json, or
into the folder of `--results`: each row says whether its git clone had changes, and the results of
the rows before it would be one. Two processes share the work by `--draws`, each with a `--results`
of its own; the same command without `--draws` then writes the rows of both. With `--unwritten` a
draw whose rows are all in the results is left out, wherever its runs are now.
"""

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from studies.question import PLACES, RESULTS, SCALES, Grid, Question, load, names  # noqa: E402


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("scale", choices=SCALES, help="what a CPU runs, or the full schedule")
    parser.add_argument("--only", nargs="+", choices=names(), default=names(), metavar="QUESTION")
    parser.add_argument("--places", nargs="+", choices=list(PLACES), default=list(PLACES))
    parser.add_argument("--draws", nargs="+", type=int, help="of each grid; all by default")
    parser.add_argument("--unwritten", action="store_true", help="only what has no rows yet")
    parser.add_argument("--primary", action="store_true", help="only what answers the question")
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"))
    parser.add_argument("--path", help="CIFAR-10: a folder or an npz; downloaded by default")
    parser.add_argument("--out", type=Path, default=Path("runs/study"))
    parser.add_argument("--results", type=Path, help="where rows are written; studies/results")
    parser.add_argument("--validate-every", type=int, default=0, help="as of ccsam compare; 0")
    parser.add_argument("--toy", action="store_true", help="an epoch each, on the digits")
    parser.add_argument("--plan", action="store_true", help="say what would be trained")
    return parser.parse_args(given)


def toy(grid: Grid) -> Grid:
    """The same rows on the digits, an epoch per stage, one ratio and one draw."""
    short = ("stage1.epochs=1", "stage1.warmup_epochs=0", "model.backbone=small_cnn")
    kept = [text for text in grid.overrides if text.partition("=")[0] not in str(short)]
    return Grid(
        question=grid.question,
        scale=grid.scale,
        place="digits",
        ratios=(min(grid.ratios[0], 50),),
        draws=grid.draws[:1],
        rows=grid.rows,
        overrides=(*kept, *short, "stage2.epochs=1"),
        record=grid.record,
    )


def main(given: Sequence[str] | None = None) -> int:
    """Train what is missing; 1 where a run came to no end, 2 where the input was wrong."""
    asked = arguments(given)
    if asked.backend:
        os.environ["KERAS_BACKEND"] = asked.backend
    from studies.cells import Trained  # Keras takes its backend when it is imported

    trained = Trained(asked.out, asked.path, asked.plan, asked.validate_every)
    results = asked.results or (asked.out / "results" if asked.toy else RESULTS)
    try:
        for question, grid in _asked(asked):
            _grid(question, grid, trained, results, unwritten=asked.unwritten)
    except ValueError as error:  # no images there, or another process trains in the folder
        print(f"error: {error}", file=sys.stderr)
        return 2
    return int(bool(trained.failed))


def _asked(asked: argparse.Namespace) -> Iterator[tuple[Question, Grid]]:
    """The grids that were asked for, each with its question."""
    for question in map(load, asked.only):
        for grid in question.grids:
            if grid.scale != asked.scale or grid.place not in asked.places:
                continue
            if asked.primary and not any(row.primary for row in grid.rows):
                continue
            grid = toy(grid) if asked.toy else grid
            if asked.draws is not None:
                grid = dataclasses.replace(grid, draws=_chosen(grid.draws, asked.draws))
            yield question, grid


def _chosen(draws: Sequence[int], asked: Sequence[int]) -> tuple[int, ...]:
    """The draws of a grid that were asked for, in the grid's order."""
    return tuple(draw for draw in draws if draw in asked)


def _grid(question: Question, grid: Grid, trained: Any, results: Path, *, unwritten: bool) -> None:
    from studies.cells import is_written

    for draw, ratio in grid.cells():
        if unwritten and is_written(question, grid, draw, ratio, results):
            continue
        began = time.monotonic()
        count = trained.cell(question, grid, draw, ratio, results)
        where = f"{question.name}: {grid.place} {grid.setting}, ratio {ratio:g}, draw {draw}"
        print(f"{where}: {count} trained, {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
