"""The recipes that take part in a tournament."""

import dataclasses
from collections.abc import Sequence

from keras_ccsam import recipes
from keras_ccsam.auto.kinds import KINDS
from keras_ccsam.comparison.varied import renamed
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.composing import several


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A recipe that takes part.

    Attributes:
        recipe: of full length, with the tournament's seed and validation split.
        words: what it does against the long tail, in a few words.
    """

    recipe: Recipe
    words: str

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name


def entrants(
    names: Sequence[str] = (), *, data: str | None, overrides: Sequence[str] = ()
) -> tuple[Entrant, ...]:
    """Return the recipes that take part.

    Args:
        names: of `KINDS`, recipes of the package, or TOML files; none is all of `KINDS`.
        data: as in `recipes.load`.
        overrides: as in `recipes.load`; those of the second stage go to recipes that have one.

    Raises:
        ValueError: as `recipes.load_several`, or a name comes twice.
    """
    chosen = tuple(names) or tuple(KINDS)
    if len(set(chosen)) < len(chosen):
        raise ValueError(f"each recipe takes part once. Received: recipes={list(chosen)}")
    found, _ = several(
        chosen,
        overrides,
        lambda name, changes: _entrant(name, data, changes),
        lambda entrant: entrant.recipe.stage2 is not None,
    )
    return found


def _entrant(name: str, data: str | None, overrides: Sequence[str]) -> Entrant:
    kind = KINDS.get(name)
    if kind is None:
        recipe = recipes.load(name, data, overrides)
        return Entrant(recipe, recipe.description)
    recipe = recipes.load(kind.recipe, data, (*kind.overrides, *overrides))
    return Entrant(renamed(recipe, name), kind.words)
