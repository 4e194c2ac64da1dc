"""Splits that keep groups together: all images of a patient, a camera or a site on one side.

Images of one group resemble each other, so that a group on both sides makes a test too easy. Groups
are whole, so the shares of the classes are met as far as the groups allow.
"""

import itertools
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.tails.subset import Labels, Rows, held_out
from keras_ccsam.data.tails.tail import check_option


def grouped_split(
    labels: Labels, groups: NDArray[Any], fraction: float, seed: int, stream: int
) -> tuple[Rows, Rows]:
    """Splits rows into a kept and a held-out part; each group is on one side.

    Every class keeps a row. Of each class `held_out` of its rows are wanted on the other side, and
    one at least where its groups allow it: rare classes are served first, each by the group that
    brings the fewest rows too many. Then groups are added in a seeded order, as long as each brings
    the counts nearer to what is wanted.

    Args:
        labels: integer classes (N,).
        groups: the group of each row (N,), of any type that compares.
        fraction: share that is held out, at least 0 and below 1; 0 holds out nothing.
        seed: at least 0.
        stream: tells splits that share a seed apart.

    Returns:
        (kept, held out), both in the order of `labels`.
    """
    rows = np.arange(len(labels), dtype=np.int64)
    if fraction == 0:
        return rows, rows[:0]
    rng = np.random.default_rng(
        np.random.SeedSequence(check_option("seed", seed), spawn_key=(stream,))
    )
    _, member_of = np.unique(groups, return_inverse=True)
    order = np.argsort(member_of, kind="stable")
    bounds = np.searchsorted(member_of[order], np.arange(member_of.max() + 2))
    members = [order[a:b] for a, b in itertools.pairwise(bounds.tolist())]
    held = _Held(labels, [Counter(labels[rows].tolist()) for rows in members], fraction)
    shuffled = rng.permutation(len(members)).tolist()
    for label in sorted(held.wanted, key=lambda label: (held.total[label], label)):
        if held.wanted[label] and not held.count[label]:
            candidates = [g for g in shuffled if label in held.groups[g] and held.may_take(g)]
            if candidates:
                held.take(min(candidates, key=held.surplus))
    for group in shuffled:
        if group not in held.taken and held.may_take(group) and held.gain(group) > 0:
            held.take(group)
    mask = np.zeros(len(labels), dtype=bool)
    for group in held.taken:
        mask[members[group]] = True
    return rows[~mask], rows[mask]


class _Held:
    """What has been held out so far, class by class."""

    def __init__(self, labels: Labels, groups: list[Counter[int]], fraction: float) -> None:
        self.groups = groups
        self.total = Counter(labels.tolist())
        self.wanted = {label: held_out(n, fraction) for label, n in self.total.items()}
        self.count: Counter[int] = Counter()
        self.taken: set[int] = set()

    def may_take(self, group: int) -> bool:
        """Whether every class would keep a row."""
        there = self.groups[group].items()
        return all(self.count[label] + n < self.total[label] for label, n in there)

    def surplus(self, group: int) -> int:
        """Rows of a group beyond what its classes want."""
        there = self.groups[group].items()
        return sum(max(0, self.count[label] + n - self.wanted[label]) for label, n in there)

    def gain(self, group: int) -> float:
        """How much nearer a group brings the shares of its classes to what is wanted."""
        found = 0.0
        for label, n in self.groups[group].items():
            wanted, has = self.wanted[label], self.count[label]
            found += (abs(wanted - has) - abs(wanted - has - n)) / max(1, wanted)
        return found

    def take(self, group: int) -> None:
        """Hold a group out."""
        self.taken.add(group)
        self.count.update(self.groups[group])
