"""What the source says of the landscapes in words, tested in numbers over seeds."""

import dataclasses
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from keras_ccsam.confidence import mean_interval
from keras_ccsam.recipes.tables import Claim

HOLDS, FAILS, OPEN = "holds", "does not hold", "undecided"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One claim about one group of classes.

    Attributes:
        claim: what the source says.
        group: `"overall"`, `"head"` or `"tail"`.
        differences: one per seed, the row's value less that of the row it is compared with.
    """

    claim: Claim
    group: str
    differences: tuple[float, ...]

    @property
    def mean(self) -> float:
        """The mean difference."""
        return statistics.fmean(self.differences)

    @property
    def interval(self) -> tuple[float, float]:
        """The mean difference's 95 % interval, by Student's t over seeds.

        Endless for one seed, and where a difference is not finite.
        """
        return mean_interval(self.differences)

    @property
    def word(self) -> str:
        """Whether the claim holds: its interval lies on one side of 0, or it stays undecided."""
        low, high = self.interval
        if not (low > 0.0 or high < 0.0):  # nor where a landscape is infinite
            return OPEN
        return HOLDS if (low > 0.0) == (self.claim.expected == "higher") else FAILS

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types; null for an end that is not there."""
        low, high = (end if math.isfinite(end) else None for end in self.interval)
        return {
            **self.claim.model_dump(exclude={"groups"}),
            "group": self.group,
            "differences": list(self.differences),
            "mean": self.mean,
            "interval": [low, high],
            "verdict": self.word,
        }


def judge(
    claims: Sequence[Claim], measures: Mapping[str, Sequence[Mapping[str, Mapping[str, float]]]]
) -> tuple[Verdict, ...]:
    """Test every claim about every group it speaks of.

    Args:
        claims: of a table.
        measures: label of a row -> one mapping per seed, in the same order for all rows:
            group -> measure -> value. A claim about a row that is not in it is left out.
    """
    found = []
    for claim in claims:
        if claim.row not in measures or claim.than not in measures:
            continue
        pairs = list(zip(measures[claim.row], measures[claim.than], strict=True))
        for group in claim.groups:
            differences = (
                own[group][claim.measure] - other[group][claim.measure] for own, other in pairs
            )
            found.append(Verdict(claim, group, tuple(differences)))
    return tuple(found)


def cells(verdicts: Sequence[Verdict]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the table of claims, as text."""
    header = ["the appendix says", "of", "measure", "difference", "95 % interval", "here"]
    rows = []
    for verdict in verdicts:
        low, high = verdict.interval
        known = math.isfinite(low)
        rows.append(
            [
                verdict.claim.text,
                verdict.group,
                verdict.claim.measure,
                f"{verdict.mean:+.3g}",
                f"{low:+.3g} … {high:+.3g}" if known else "-",
                verdict.word,
            ]
        )
    return header, rows
