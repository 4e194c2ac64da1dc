"""What a tournament would do: its data, its recipes, its rungs and its time."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import keras

from keras_ccsam import text_table as table
from keras_ccsam.auto import at_hand, described
from keras_ccsam.auto.entrants import Entrant, entrants, frozen_entrants
from keras_ccsam.auto.ladder import SAFETY, Ladder, Terms, planned
from keras_ccsam.auto.pace import made_up, measure
from keras_ccsam.auto.shortened import shortened, whole
from keras_ccsam.checks import require
from keras_ccsam.comparison.check_models import check_models
from keras_ccsam.comparison.plan import checked_seeds
from keras_ccsam.data import LongTailedData, Outline
from keras_ccsam.duration import duration, seconds_of
from keras_ccsam.recipes import known
from keras_ccsam.recipes.together import check_together
from keras_ccsam.runs import parts
from keras_ccsam.runs.folders import PathLike, kind_of, named, require_free

KIND = "auto"
VALIDATION_FRACTION = 0.2
"""What is held out of each class to choose by."""


@dataclasses.dataclass(frozen=True)
class Asked:
    """A tournament as it was asked for, checked; nothing is measured, read or trained.

    Attributes:
        entrants: that want to take part.
        budget: seconds.
        seeds: of the last rung; the first is that of all others.
        refit: whether the winner is trained again on the validation images, too.
        path: the folder.
        outline: of the data.
    """

    entrants: tuple[Entrant, ...]
    budget: float
    seeds: tuple[int, ...]
    refit: bool
    path: Path
    outline: Outline

    @property
    def tested(self) -> bool:
        """Whether there are test images to look at in the end."""
        return sum(self.outline.test_counts) > 0

    @property
    def facts(self) -> dict[str, Any]:
        """What is known of the data."""
        groups = parts.group_options(self.entrants[0].recipe.groups)
        return described.described(self.outline, groups)

    def request(self) -> dict[str, Any]:
        """Return what makes two tournaments the same one, as JSON types."""
        return {
            "recipes": {entrant.name: entrant.recipe.digest() for entrant in self.entrants},
            "budget": self.budget,
            "seeds": list(self.seeds),
            "refit": self.refit,
            "backend": keras.backend.backend(),
        }

    def ladder(self, images: LongTailedData | None = None) -> tuple[Ladder, Terms]:
        """Measure some steps of each recipe and plan the rungs.

        Args:
            images: to take the steps on; by default images that are made up, and none is read.

        Raises:
            ValueError: as `ladder.planned`, or a model cannot be built.
        """
        size = max(entrant.recipe.stage1.batch_size for entrant in self.entrants)
        source = made_up(self.outline, size) if images is None else images
        paces = measure(self.entrants, source, self.outline)
        terms = self.terms(paces)
        return planned(self.entrants, self.budget, terms), terms

    def terms(self, paces: Any) -> Terms:
        """Return what the rungs are planned by."""
        train, held = sum(self.outline.class_counts), sum(self.outline.validation_counts)
        return Terms(paces, train, held, len(self.seeds), self.refit)


@dataclasses.dataclass(frozen=True)
class AutoPlan:
    """A tournament with everything chosen and nothing trained.

    Attributes:
        asked: for.
        ladder: its rungs.
    """

    asked: Asked
    ladder: Ladder

    def text(self) -> str:
        """Return the plan as text."""
        lines = [
            *described.text(self.asked.facts),
            self.time_text(),
            f"backend    {keras.backend.backend()}",
            f"folder     {self.asked.path}",
            *self.short_text(),
            *map(rung_text, self.rungs()),
            self._last(),
        ]
        header = ("recipe", "what it does")
        rows = [(entrant.name, entrant.words) for entrant in self.staying]
        return "\n".join(lines) + "\n\n" + table.text_table(header, rows, left=header)

    def time_text(self) -> str:
        """Return the budget, and what is needed of it, as a line."""
        return (
            f"budget     {duration(self.asked.budget)}; by the steps that were timed "
            f"{duration(self.ladder.seconds)} are needed"
        )

    def short_text(self) -> list[str]:
        """Return what a short budget costs, as lines; none where everything has its time."""
        ladder = self.ladder
        lines = [f"left out   {name}: there is no time for it" for name in ladder.left_out]
        if ladder.share < 1.0:
            full = self.epochs(1.0)
            lines.insert(
                0,
                f"note       the budget is short: {self.epochs(ladder.share)} of {full} epochs at "
                f"most; everything in full takes about {duration(ladder.in_full * SAFETY)}",
            )
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types."""
        return {
            "kind": "auto plan",
            **self.asked.request(),
            "path": str(self.asked.path),
            "data": self.asked.facts,
            "ladder": self.ladder.to_dict(),
            "rungs": self.rungs(),
        }

    @property
    def staying(self) -> tuple[Entrant, ...]:
        """The recipes that there is time for."""
        left_out = self.ladder.left_out
        return tuple(entrant for entrant in self.asked.entrants if entrant.name not in left_out)

    def rungs(self) -> list[dict[str, Any]]:
        """Return the rungs as JSON types."""
        return [
            {
                "rung": place,
                "of": len(self.ladder.rungs),
                "recipes": rung.count,
                "seeds": rung.seeds,
                "epochs": self.epochs(rung.share),
                "of_epochs": self.epochs(1.0),
            }
            for place, rung in enumerate(self.ladder.rungs, 1)
        ]

    def epochs(self, share: float) -> int:
        """Return the epochs of a first stage at a share of them; of the first recipe's."""
        return shortened(self.asked.entrants[0].recipe, share).stage1.epochs

    def _last(self) -> str:
        epochs = f"{self.epochs(self.ladder.share)} of {self.epochs(1.0)} epochs"
        refit = self.asked.refit
        how = f"trained again on all images, {epochs}" if refit else "taken as it is"
        return f"winner     {how}" + (", then tested" if self.asked.tested else "")


def rung_text(rung: dict[str, Any]) -> str:
    """Return a rung as a line."""
    seeds = f", {rung['seeds']} seeds" if rung["seeds"] > 1 else ""
    return (
        f"rung {rung['rung']}/{rung['of']}   {rung['recipes']} recipes, {rung['epochs']} of "
        f"{rung['of_epochs']} epochs{seeds}"
    )


def ask(
    data: str | None = None,
    *,
    recipes: Sequence[str] = (),
    budget: str | float = "30m",
    validation_fraction: float = VALIDATION_FRACTION,
    seeds: Sequence[int] | int = 1,
    refit: bool = True,
    out: PathLike | None = None,
    backbone: str | None = None,
    overrides: Sequence[str] = (),
) -> Asked:
    """Check what is asked for; arguments as in `auto`. No image is read.

    Raises:
        ValueError: as `auto`.
    """
    seconds = seconds_of(budget)
    require(
        0.0 < validation_fraction < 1.0,
        "validation_fraction",
        validation_fraction,
        "a share of each class above 0 and below 1, to choose by",
    )
    chosen = checked_seeds(seeds)
    changes = (
        *overrides,
        f"data.validation_fraction={validation_fraction:g}",
        f"seed={chosen[0]}",
    )
    found = entrants(recipes, data=data, overrides=changes)
    first = found[0].recipe
    outline = parts.outline_data(first.data)
    if backbone is None and not recipes:
        backbone = _fitting(outline)
    if backbone is not None and backbone != "none":
        found = (*found, *frozen_entrants(backbone, data=data, overrides=changes))
    _check_together(found)
    check_models([entrant.recipe for entrant in found], read=False)
    shown = PurePath(first.data.path).name if known.is_path(data or "") else first.setting
    folder = named(f"runs/auto-{shown}" if out is None else out)
    if kind_of(folder) != KIND:
        require_free(folder)
    if not sum(outline.validation_counts):
        raise ValueError(
            "no class has an image to spare, and without validation images nothing can be chosen. "
            f"Received: data={data or first.data_shown!r}"
        )
    tested = sum(outline.test_counts) > 0
    # Validation images of the set's own stay apart, so that there is nothing to train anew on.
    own = sum(parts.outline_data(whole(first).data).validation_counts) > 0
    return Asked(found, seconds, chosen, refit and tested and not own, folder, outline)


def _fitting(outline: Outline) -> str | None:
    """The network in Keras' cache, where it can be built for the images."""
    height, width, channels = outline.image_shape
    return at_hand.cached() if channels == 3 and min(height, width) >= at_hand.LEAST_SIDE else None


def _check_together(found: Sequence[Entrant]) -> None:
    for entrant in found[1:]:
        if entrant.name in {other.name for other in found if other is not entrant}:
            raise ValueError(f"each recipe takes part once. Received: recipes={entrant.name!r}")
    check_together([entrant.recipe for entrant in found])


def plan_auto(data: str | None = None, **options: Any) -> AutoPlan:
    """Choose everything that `auto` would do; same arguments.

    Some steps of each recipe are timed on images that are made up: no image is read, and nothing is
    written.

    Raises:
        ValueError: as `auto`.
    """
    asked = ask(data, **options)
    return AutoPlan(asked, asked.ladder()[0])
