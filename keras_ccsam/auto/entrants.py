"""The recipes that take part in a tournament."""

import dataclasses
from collections.abc import Sequence

from keras_ccsam import recipes
from keras_ccsam.auto.at_hand import network, together
from keras_ccsam.auto.kinds import FROZEN, KINDS
from keras_ccsam.comparison.varied import renamed
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.composing import of_stage2, several


@dataclasses.dataclass(frozen=True)
class Entrant:
    """A recipe that takes part.

    Attributes:
        recipe: of full length, with the tournament's seed and validation split.
        words: what it does against the long tail, in a few words.
        expected: its gain over cross-entropy as published, a fraction; None: not known.
    """

    recipe: Recipe
    words: str
    expected: float | None = None

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


def frozen_entrants(
    backbone: str, *, data: str | None, overrides: Sequence[str] = ()
) -> tuple[Entrant, ...]:
    """Return the recipes that train a classifier on a network that was trained before.

    Args:
        backbone: as `at_hand.network` has it.
        data: as in `recipes.load`.
        overrides: as in `recipes.load`; those of the network and of a second stage do not count
            here.

    Raises:
        ValueError: as `at_hand.network` and `recipes.load`.
    """
    name, chosen = network(backbone)
    changes = together(chosen, [text for text in overrides if not of_stage2(text)])
    found = []
    for kind_name, kind in FROZEN.items():
        recipe = recipes.load(kind.recipe, data, (*kind.overrides, *changes))
        found.append(Entrant(renamed(recipe, kind_name), f"{kind.words}: {name}"))
    return tuple(found)


def _entrant(name: str, data: str | None, overrides: Sequence[str]) -> Entrant:
    kind = KINDS.get(name)
    if kind is None:
        recipe = recipes.load(name, data, overrides)
        return Entrant(recipe, recipe.description)
    recipe = recipes.load(kind.recipe, data, (*kind.overrides, *overrides))
    return Entrant(renamed(recipe, name), kind.words, kind.expected)
