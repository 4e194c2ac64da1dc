"""What is said of recipes before they are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .output import Output

if TYPE_CHECKING:
    from keras_ccsam.recipes import Recipe


def tell(output: Output, recipes: Sequence[Recipe], without_stage2: Sequence[str] = ()) -> None:
    """Print notes and warnings, each once.

    Args:
        output: where to.
        recipes: what would be trained.
        without_stage2: the recipes that `--set stage2...` was not applied to.
    """
    if without_stage2:
        output.note(
            f"stage2 settings were not applied to {', '.join(without_stage2)}: no second stage"
        )
    for text in dict.fromkeys(text for recipe in recipes for text in recipe.warnings()):
        output.warning(text)
