"""Which recipe won, by how much, and which others the validation images do not tell from it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from keras_ccsam.auto.entrants import Entrant
from keras_ccsam.auto.tournament import Round
from keras_ccsam.auto.uncertainty import Difference, Estimate, difference


@dataclasses.dataclass(frozen=True)
class Rival:
    """A recipe beside the winner.

    Attributes:
        name: the recipe's.
        words: what it does against the long tail.
        rung: the last one that both were trained in, from 0 on.
        lead: how much better the winner is there.
    """

    name: str
    words: str
    rung: int
    lead: Difference


@dataclasses.dataclass(frozen=True)
class Choice:
    """The winner of a tournament.

    Attributes:
        entrant: that won.
        estimate: its balanced validation accuracy on the last rung; None where it stands alone.
        rivals: the others, those that came furthest first, the best first among them.
    """

    entrant: Entrant
    estimate: Estimate | None
    rivals: tuple[Rival, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {
            "chosen": self.entrant.name,
            "words": self.entrant.words,
            "validation": None if self.estimate is None else self.estimate.to_dict(),
            "rivals": [
                {
                    "recipe": rival.name,
                    "words": rival.words,
                    "rung": rival.rung + 1,
                    "lead": rival.lead.to_dict(),
                }
                for rival in self.rivals
            ],
        }


def choose(entrants: Sequence[Entrant], rounds: Sequence[Round], labels: NDArray[Any]) -> Choice:
    """Choose by balanced validation accuracy on the last rung, weighed with what is known.

    Args:
        entrants: that took part; of equals the first is chosen.
        rounds: that were played; none where one recipe stands alone.
        labels: of the validation images (N,).
    """
    if not rounds:
        return Choice(entrants[0], None, ())
    best = rounds[-1].best
    words = {entrant.name: entrant.words for entrant in entrants}
    compared = len(rounds[0].rights)
    rivals: dict[str, Rival] = {}
    for place, played in reversed(list(enumerate(rounds))):
        for name, rights in played.rights.items():
            if name != best and name not in rivals:
                lead = difference(played.rights[best], rights, labels, compared)
                rivals[name] = Rival(name, words[name], place, lead)
    ordered = sorted(
        rivals.values(), key=lambda rival: (-rival.rung, -rounds[rival.rung].weighed[rival.name])
    )
    winner = next(entrant for entrant in entrants if entrant.name == best)
    return Choice(winner, rounds[-1].estimates[best], tuple(ordered))
