"""A recipe with its schedule drawn together: everything happens earlier, in the same order."""

import math
from collections.abc import Sequence
from typing import Any

from keras_ccsam.recipes import Recipe, override


def shortened(recipe: Recipe, share: float) -> Recipe:
    """Return the recipe with `share` of its epochs, in both stages.

    The warm-up, the falls of the rate and what begins during a stage move along, so that the short
    run is a whole run: a late re-weighting or a second stage is judged, too.

    Args:
        recipe: of full length.
        share: of its epochs, in (0, 1]; 1 is the recipe itself.
    """
    if share >= 1.0:
        return recipe
    first, second = recipe.stage1, recipe.stage2
    epochs = epochs_of(first.epochs, share)
    changes = {
        "stage1.epochs": epochs,
        "stage1.warmup_epochs": min(epochs - 1, math.ceil(first.warmup_epochs * share)),
        "stage1.boundaries": _shares(first.boundaries, first.epochs),
        **_starts("stage1", first, share, epochs),
    }
    if second is not None:
        changes["stage2.epochs"] = epochs_of(second.epochs, share)
        changes |= _starts("stage2", second, share, changes["stage2.epochs"])
    return override(recipe, *(f"{key}={value}" for key, value in changes.items()))


def whole(recipe: Recipe) -> Recipe:
    """Return the recipe without a validation split: all images are trained on."""
    return override(recipe, "data.validation_fraction=0")


def epochs_of(epochs: int, share: float) -> int:
    """Return a share of some epochs, at least one."""
    return max(1, round(epochs * share))


def _starts(table: str, stage: Any, share: float, epochs: int) -> dict[str, Any]:
    """What begins at an epoch; what begins at a share of them moves by itself."""
    found = {}
    for name in ("reweight", "resample", "average", "translate"):
        start = getattr(getattr(stage, name, None), "start", None)
        if isinstance(start, int):
            found[f"{table}.{name}.start"] = min(epochs - 1, round(start * share))
    return found


def _shares(boundaries: Sequence[float], epochs: int) -> list[float]:
    """Where the rate falls, as shares of the epochs; an epoch that is not reached drops out."""
    shares = (at if isinstance(at, float) else at / epochs for at in boundaries)
    return sorted({at for at in shares if 0.0 < at < 1.0})
