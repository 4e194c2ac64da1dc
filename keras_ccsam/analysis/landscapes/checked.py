"""What a landscape may be asked for: known before the model is read, and checked then."""

from typing import Any

from keras_ccsam.analysis.landscapes.directions import KINDS, Directions
from keras_ccsam.analysis.landscapes.grid import steps_of
from keras_ccsam.checks import require

BATCH_NORM = ("as_trained", "reestimated")


def check_options(
    *,
    points: int = 25,
    span: float | None = None,
    directions: str | Directions = "filter",
    dimensions: int = 2,
    lines: int = 10,
    seed: int = 0,
    limit: int | None = None,
    batch_norm: str = "as_trained",
    batch_norm_samples: int = 1000,
    batch_size: int = 500,
    **_: Any,
) -> None:
    """Refuse options of `plan_landscape` that no model fits.

    Raises:
        ValueError: one is outside its range.
    """
    steps_of(points, 1.0 if span is None else span)
    if not isinstance(directions, Directions):
        require(directions in KINDS, "directions", directions, f"one of {', '.join(KINDS)}")
    require(dimensions in (1, 2), "dimensions", dimensions, "1 or 2")
    require(lines >= 1, "lines", lines, "at least 1")
    require(seed >= 0, "seed", seed, "at least 0")
    require(limit is None or limit >= 1, "limit", limit, "at least 1")
    require(batch_norm in BATCH_NORM, "batch_norm", batch_norm, f"one of {', '.join(BATCH_NORM)}")
    require(batch_norm_samples >= 2, "batch_norm_samples", batch_norm_samples, "at least 2")
    require(batch_size >= 1, "batch_size", batch_size, "at least 1")
