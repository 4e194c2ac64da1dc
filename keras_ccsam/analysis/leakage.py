"""Where the samples of a group of classes end up: the confusion matrix, added up by group.

Tail to head: a few-shot sample that is taken for a class with many images, the usual mistake of a
long-tailed classifier. Head to tail: the mistake of one that was corrected too far.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Leakage:
    """Shares of each group's samples by the group of the predicted class.

    Attributes:
        groups: names of the groups, in the order of `share`'s rows and columns.
        share: (G, G) row = group of the label, column = group of the prediction; each row adds up
            to 1 where every class is in a group. The diagonal holds wrong classes of the same
            group, too. A row without samples is NaN.
        samples: samples of each group.
    """

    groups: tuple[str, ...]
    share: np.ndarray
    samples: tuple[int, ...]

    def of(self, label: str, predicted: str) -> float | None:
        """The share of the samples of one group that is predicted as a class of another one.

        Returns:
            In 0..1; None where a group is absent or without samples.
        """
        if label not in self.groups or predicted not in self.groups:
            return None
        share = self.share[self.groups.index(label), self.groups.index(predicted)]
        return float(share) if np.isfinite(share) else None

    @property
    def tail_to_head(self) -> float | None:
        """The share of the few-shot samples that is predicted as a class with many images."""
        return self.of("few", "many")

    @property
    def head_to_tail(self) -> float | None:
        """The share of the samples of classes with many images predicted as a few-shot class."""
        return self.of("many", "few")

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return {
            "groups": list(self.groups),
            "share": self.share.tolist(),
            "samples": list(self.samples),
            "tail_to_head": self.tail_to_head,
            "head_to_tail": self.head_to_tail,
        }


def leakage(confusion: Any, group_classes: Mapping[str, Sequence[int]]) -> Leakage:
    """Add a confusion matrix up by group.

    Args:
        confusion: (C, C) samples, row = label, column = prediction.
        group_classes: group name to its classes, as `metrics.group_classes` returns them.

    Raises:
        ValueError: a matrix that is not square, or a class that it does not have.
    """
    counts = np.asarray(confusion, dtype="float64")
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(
            f"`confusion` must be square. Received: confusion with shape {counts.shape}"
        )
    names = tuple(group_classes)
    beyond = [c for name in names for c in group_classes[name] if not 0 <= c < len(counts)]
    if beyond:
        raise ValueError(
            f"`group_classes` must hold classes from 0 to {len(counts) - 1}. "
            f"Received: group_classes with {beyond}"
        )
    rows = [counts[list(group_classes[name])].sum(axis=0) for name in names]
    table = np.array(
        [[row[list(group_classes[other])].sum() for other in names] for row in rows]
    ).reshape(len(names), len(names))
    samples = np.array([row.sum() for row in rows])[:, None]
    share = np.divide(table, samples, where=samples > 0, out=np.full_like(table, np.nan))
    return Leakage(names, share, tuple(int(n) for n in samples[:, 0]))
