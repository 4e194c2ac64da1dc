"""Which images of each class are kept, and stratified splits.

The draw alone moves results by more than a point on CIFAR-10-LT, so each protocol is a pure
function of the labels, and the rows that it returns are saved with a run.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.tails.tail import Protocol, Tail, check_option

Rows = NDArray[np.int64]
Labels = NDArray[np.int32]

_LEGACY_SEEDS = {"ldam": 0, "ccsam": 42}


def draw_subset(
    labels: Labels,
    counts: Sequence[int],
    protocol: Protocol = Tail.protocol,
    seed: int = Tail.seed,
) -> Rows:
    """The rows of a long-tailed subset, class after class, in the order of the draw.

    Args:
        labels: integer classes (N,).
        counts: images wanted of each class; no class may have fewer.
        protocol: `"ldam"`: each class's rows in label order are shuffled by one NumPy legacy
            generator seeded with 0, and the first n_c kept (LDAM-DRW, Cao et al. 2019);
            `"ccsam"`: the same with the seed 42 (CC-SAM's released code);
            `"seeded"`: the same with a `numpy.random.Generator` from `seed`; `"first_n"`: the first
            n_c rows in the source's order (M2m, Kim et al. 2020). The draws of each are
            nested: a larger ratio keeps a part of a smaller one.
        seed: only read by `"seeded"`.

    Returns:
        Row numbers (sum(counts),).
    """
    check_option("protocol", protocol)
    legacy = np.random.RandomState(_LEGACY_SEEDS.get(protocol, 0))
    generator = np.random.default_rng(check_option("seed", seed))
    kept = []
    for label, count in enumerate(counts):
        rows = np.flatnonzero(labels == label)
        if protocol in _LEGACY_SEEDS:
            legacy.shuffle(rows)
        elif protocol == "seeded":
            generator.shuffle(rows)
        kept.append(rows[:count])
    return np.concatenate(kept).astype(np.int64)


def held_out(rows: int, fraction: float) -> int:
    """How many of a class's rows a split holds out.

    ``min(rows - 1, max(1, round(fraction * rows)))``: every class keeps a row, and a class with a
    single row gives none.

    Args:
        rows: of the class, at least 1.
        fraction: share that is held out, in [0, 1); 0 holds out nothing.
    """
    return min(rows - 1, max(1, round(fraction * rows))) if fraction else 0


def stratified_split(labels: Labels, fraction: float, seed: int, stream: int) -> tuple[Rows, Rows]:
    """Splits rows into a kept and a held-out part, class by class.

    Each class gives `held_out` of its rows.

    Args:
        labels: integer classes (N,).
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
    held = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        held[rng.permutation(members)[: held_out(len(members), fraction)]] = True
    return rows[~held], rows[held]
