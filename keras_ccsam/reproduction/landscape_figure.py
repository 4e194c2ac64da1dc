"""Figures 4 to 9: the loss around the weights of each row, and what the appendix says of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from keras_ccsam import text_table as table
from keras_ccsam.analysis.landscapes import Landscape
from keras_ccsam.recipes.tables import Table
from keras_ccsam.reproduction import claims
from keras_ccsam.reproduction.figure import Cells, Figure
from keras_ccsam.runs.landscapes import PlannedLandscapes
from keras_ccsam.runs.progress import Progress

GROUPS = ("overall", "head", "tail")
MEASURES = ("near", "whole", "far", "asymmetry")

# Points along each direction, and about how many test images.
_SIZES = {"tiny": (9, None), "small": (11, 2000), "full": (25, None)}

_NEAR = 0.25


def landscape_figure(
    shown_table: Table,
    runs: Mapping[str, Sequence[Path]],
    scale: str,
    name: str,
    folder: Path,
    progress: Progress,
) -> Figure:
    """Compute the landscapes of all runs in the same directions, draw them and test the claims.

    Args:
        shown_table: the figure, with its claims.
        runs: label of a row -> its finished runs, one per seed, in the same order for all rows.
        scale: how many points and images.
        name: of the figure; the picture's name.
        folder: for the landscapes and the picture; those that are there are kept.
        progress: how far it is.
    """
    points, limit = _SIZES[scale]
    everything = [path for paths in runs.values() for path in paths]
    planned = PlannedLandscapes(
        everything, split="test", points=points, limit=limit, out=folder / "landscapes"
    )
    found = planned.compute(progress).found
    # In the order of the runs that were asked for.
    by_run = dict(zip(everything, found.values(), strict=True))
    landscapes = {label: [by_run[path] for path in paths] for label, paths in runs.items()}
    measures = {
        label: [{group: measured(each, group) for group in GROUPS} for each in own]
        for label, own in landscapes.items()
    }
    verdicts = claims.judge(shown_table.claims, measures)
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    picture = plots.landscape(
        {label: own[0] for label, own in landscapes.items()},
        folder / f"{name}.png",
        groups=GROUPS,
        scale_of=list(by_run.values()),
    )
    about = next(iter(by_run.values())).about
    span = float(next(iter(by_run.values())).steps[0][-1])
    caption = (
        f"Landscapes: cross-entropy on {about['samples']} test images at {points} x {points} "
        f"points, filter-normalised Gaussian directions, one draw for all, steps up to {span:.3g} "
        "of the weights' norm. near, whole, far: the mean change of the loss (either way) within a "
        "quarter of that, everywhere, and at the rim. asymmetry: 0 where opposite sides rise "
        "alike, 1 where one side rises alone. A claim holds, or does not, where the 95 % interval "
        "(Student's t) of the difference paired over seeds lies on one side of 0; else it is "
        "undecided. Each claim is judged by itself: of twenty, chance alone decides about one. The "
        "picture shows the first seed."
    )
    content = {
        "points": points,
        "samples": about["samples"],
        "span": span,
        "measures": {label: [dict(seed) for seed in own] for label, own in measures.items()},
        "claims": [verdict.to_dict() for verdict in verdicts],
    }
    return Figure((picture,), (_values(measures), claims.cells(verdicts)), caption, content)


def measured(landscape: Landscape, group: str) -> dict[str, float]:
    """Return how much a group's loss changes around the model, and how unlike its sides are."""
    loss = landscape.loss(group)
    first, second = (np.abs(steps) / np.abs(steps).max() for steps in landscape.steps)
    distance = np.maximum(first[:, None], second[None, :])
    change = np.abs(np.where(np.isnan(loss), np.inf, loss) - landscape.at_model(group)[0])
    away = distance > 0
    # A step is compared with a quarter, of which it may be a rounding away.
    near = distance <= _NEAR + 1e-9
    return {
        "near": float(change[away & near].mean()),
        "whole": float(change[away].mean()),
        "far": float(change[distance >= 1 - 1e-9].mean()),
        "asymmetry": landscape.asymmetry(group).mean,
    }


def _values(measures: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]) -> Cells:
    header = ["row", "of", *MEASURES]
    rows = [
        [label, group, *(table.mean_std([seed[group][m] for seed in own]) for m in MEASURES)]
        for label, own in measures.items()
        for group in GROUPS
    ]
    return header, rows
