"""Which recipes are trained for how long, so that all of it fits into a budget of time.

Successive halving (Jamieson & Talwalkar, 2016): all recipes are trained a little, the better half
of them twice as long, until two are left, which are trained in full. Each rung trains its recipes
from the start with their whole schedule drawn together (`shortened`): the rate has fallen and the
second stage has been when they are judged. Continuing the runs instead would judge a method whose
help comes late before it has helped.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ccsam.auto.entrants import Entrant
from keras_ccsam.auto.pace import Paces
from keras_ccsam.auto.shortened import epochs_of
from keras_ccsam.duration import duration
from keras_ccsam.runs import parts

# Measured steps are trusted this far: the first ones, and a machine with other work, are slower.
SAFETY = 1.25
# A forward pass of an image, as a part of a training step on it.
_JUDGED = 0.4
_LEAST_EPOCHS = 5
_SHARES = (1.0, 0.8, 0.6, 0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.05, 0.025)


@dataclasses.dataclass(frozen=True)
class Rung:
    """A round of the tournament.

    Attributes:
        share: of the epochs of each recipe.
        count: of recipes that are trained in it.
        seeds: how many each is trained with.
    """

    share: float
    count: int
    seeds: int


@dataclasses.dataclass(frozen=True)
class Ladder:
    """A tournament that fits into its budget.

    Attributes:
        rungs: in their order; none where one recipe stands alone.
        share: of the epochs that the winner is trained for.
        left_out: recipes that there is no time for.
        seconds: how long all of it takes by the measured steps.
        in_full: how long it would take with all recipes and their full schedules.
    """

    rungs: tuple[Rung, ...]
    share: float
    left_out: tuple[str, ...]
    seconds: float
    in_full: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Ladder":
        """Read what `to_dict` made."""
        rungs = tuple(Rung(**rung) for rung in values["rungs"])
        left_out = tuple(values["left_out"])
        return cls(rungs, values["share"], left_out, values["seconds"], values.get("in_full", 0.0))


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a ladder is planned by.

    Attributes:
        paces: of the recipes.
        images: to train on.
        held: validation images.
        seeds: of the last rung.
        refit: whether the winner is trained again, on the validation images, too.
    """

    paces: Paces
    images: int
    held: int
    seeds: int
    refit: bool


def planned(entrants: Sequence[Entrant], budget: float, terms: Terms) -> Ladder:
    """Return the longest tournament that fits.

    The schedules are drawn together first, down to a few epochs on the first rung; where that is
    not enough, the recipes that take longest are left out.

    Args:
        entrants: two or more, or one.
        budget: seconds.
        terms: see there.

    Raises:
        ValueError: not even the two fastest recipes fit; it says what would be needed.
    """
    staying = list(entrants)
    left_out: list[str] = []
    in_full = _all(staying, _rungs(staying, 1.0, terms.seeds), 1.0, terms)
    while True:
        for share in _SHARES:
            rungs = _rungs(staying, share, terms.seeds)
            seconds = _all(staying, rungs, share, terms)
            if seconds * SAFETY <= budget:
                return Ladder(rungs, share, tuple(left_out), seconds, in_full)
            if _shortest(staying, share):
                break
        if len(staying) <= min(2, len(entrants)):
            break
        # Of equals the last, which is the more elaborate.
        slowest = max(reversed(staying), key=lambda entrant: _alone(entrant, terms))
        staying.remove(slowest)
        left_out.append(slowest.name)
    needed = duration(seconds * SAFETY + 1.0)
    raise ValueError(
        f"the budget is too small: {' and '.join(entrant.name for entrant in staying)} alone need "
        f"about {needed} with the shortest schedules, by the steps that were measured. "
        f"Received: budget={duration(budget)}"
    )


def rung_seconds(entrants: Sequence[Entrant], share: float, seeds: int, terms: Terms) -> float:
    """Return what a rung takes; a first stage that several recipes share is trained once."""
    shared: set[str] = set()
    total = 0.0
    for entrant in entrants:
        digest = entrant.recipe.stage1_digest()
        total += _run(entrant, share, terms, digest not in shared)
        shared.add(digest)
    return seeds * total


def winner_seconds(entrants: Sequence[Entrant], share: float, terms: Terms) -> float:
    """Return what training the winner takes, if it is the slowest."""
    more = 1.0 + terms.held / max(1, terms.images)

    def seconds(entrant: Entrant) -> float:
        # Trained anew it sees other images together, whose features are computed once more.
        features = features_seconds([entrant], terms) if terms.refit else 0.0
        return more * _run(entrant, share, terms, terms.refit) + features

    return max(map(seconds, entrants))


def features_seconds(entrants: Sequence[Entrant], terms: Terms) -> float:
    """Return what the features of a frozen backbone take, once for all recipes and rungs."""
    images = terms.images + terms.held
    return images * max((terms.paces[entrant.name].image for entrant in entrants), default=0.0)


def rest_seconds(alive: Sequence[Entrant], ladder: Ladder, place: int, terms: Terms) -> float:
    """Return what the rungs from `place` on and the winner take, if the slowest recipes go on."""
    return _total(alive, ladder.rungs[place:], ladder.share, terms)


def affordable(
    alive: Sequence[Entrant], least: float, most: float, seconds: float, terms: Terms
) -> float:
    """Return the largest share, from `least` to `most`, at which the winner fits into a time.

    It is `least` where none fits: a winner there must be.
    """
    shares = [most, *(share for share in _SHARES if least < share < most)]
    fitting = (share for share in shares if winner_seconds(alive, share, terms) <= seconds)
    return next(fitting, least)


def _all(staying: Sequence[Entrant], rungs: Sequence[Rung], share: float, terms: Terms) -> float:
    """A whole tournament, features of a frozen backbone included."""
    return features_seconds(staying, terms) + _total(staying, rungs, share, terms)


def _total(staying: Sequence[Entrant], rungs: Sequence[Rung], share: float, terms: Terms) -> float:
    """All rungs and the winner, as if the slowest recipes went on."""
    by_cost = sorted(staying, key=lambda entrant: -_alone(entrant, terms))
    each = (rung_seconds(by_cost[: rung.count], rung.share, rung.seeds, terms) for rung in rungs)
    return sum(each) + winner_seconds(staying, share, terms)


def _run(entrant: Entrant, share: float, terms: Terms, first: bool) -> float:
    pace, recipe = terms.paces[entrant.name], entrant.recipe
    steps = parts.steps_per_epoch(recipe, terms.images)
    judged = _JUDGED * terms.held / recipe.stage1.batch_size
    seconds = pace.setup
    if first:
        seconds += epochs_of(recipe.stage1.epochs, share) * (steps + judged) * pace.step
    if recipe.stage2 is not None:
        # As slow as a step of the first stage, which is more than it takes.
        seconds += epochs_of(recipe.stage2.epochs, share) * steps * pace.step
    return seconds


def _alone(entrant: Entrant, terms: Terms) -> float:
    return _run(entrant, 1.0, terms, True)


def _rungs(entrants: Sequence[Entrant], share: float, seeds: int) -> tuple[Rung, ...]:
    """Halve the recipes, and double the epochs, until two are left."""
    if len(entrants) < 2:
        return ()
    counts = [len(entrants)]
    while counts[-1] > 2:
        counts.append(max(2, counts[-1] // 2))
    epochs = min(entrant.recipe.stage1.epochs for entrant in entrants)
    least = min(1.0, _LEAST_EPOCHS / epochs)
    rungs: list[Rung] = []
    for place, count in enumerate(counts):
        part = max(share / 2 ** (len(counts) - 1 - place), min(share, least))
        # The same epochs again would be the same runs again.
        if not rungs or epochs_of(epochs, part) > epochs_of(epochs, rungs[-1].share):
            rungs.append(Rung(part, count, 1))
    rungs[-1] = dataclasses.replace(rungs[-1], seeds=seeds)
    return tuple(rungs)


def _shortest(entrants: Sequence[Entrant], share: float) -> bool:
    """Whether a smaller share would leave a rung, or the winner, less than a few epochs."""
    epochs = min(entrant.recipe.stage1.epochs for entrant in entrants)
    return epochs_of(epochs, share) <= _LEAST_EPOCHS
