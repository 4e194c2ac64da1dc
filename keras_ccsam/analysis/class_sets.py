"""Of what a number is told: the whole set, the head and the tail class, groups, single classes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_ccsam.checks import require


@dataclasses.dataclass(frozen=True)
class ClassSet:
    """Some classes whose samples are judged together.

    Attributes:
        name: `"overall"`, `"head class"`, `"tail class"`, a group's or a class's name.
        kind: `"overall"`, `"group"` or `"class"`.
        classes: in ascending order.
    """

    name: str
    kind: str
    classes: tuple[int, ...]


def head_class(class_counts: Sequence[int]) -> int:
    """The class with the most training images, the first of several."""
    return int(np.argmax(class_counts))


def tail_class(class_counts: Sequence[int]) -> int:
    """The class with the fewest training images, the last of several."""
    return len(class_counts) - 1 - int(np.argmin(list(class_counts)[::-1]))


def class_sets(
    class_counts: Sequence[int],
    groups: Mapping[str, Sequence[int]],
    class_names: Sequence[str],
) -> list[ClassSet]:
    """The whole set, the head and the tail class, the groups, and every class.

    Args:
        class_counts: training images of each class.
        groups: a group's name to its classes, as `metrics.group_classes` gives them.
        class_names: one per class.
    """
    return [
        ClassSet("overall", "overall", tuple(range(len(class_counts)))),
        ClassSet("head class", "group", (head_class(class_counts),)),
        ClassSet("tail class", "group", (tail_class(class_counts),)),
        *(ClassSet(name, "group", tuple(classes)) for name, classes in groups.items()),
        *(ClassSet(str(name), "class", (c,)) for c, name in enumerate(class_names)),
    ]


def whole_part(data: Any) -> tuple[Any, Any]:
    """Inputs and labels of a `data.BatchSequence`, unaugmented and in order, or of a pair."""
    x, y = data.arrays() if hasattr(data, "arrays") else data
    return x, y


def sample_rows(labels: np.ndarray, limit: int | None, seed: int = 0) -> np.ndarray:
    """The rows of at most `limit` samples, in order of their class, as many of each as can be.

    No class has more than another one that has samples left: rare classes are kept whole. Weights
    (`sample_shares`) make up for it.

    Args:
        labels: (N,) classes.
        limit: how many; None for all.
        seed: of the choice.

    Raises:
        ValueError: fewer samples than there are classes.
    """
    counts = np.bincount(labels)
    order = np.argsort(labels, kind="stable")
    if limit is None or limit >= len(labels):
        return order
    present = int((counts > 0).sum())
    require(limit >= present, "limit", limit, f"at least one sample for each of {present} classes")
    kept, left, waiting = np.zeros_like(counts), limit, len(counts)
    for label in np.argsort(counts, kind="stable"):
        kept[label] = min(counts[label], left // waiting)
        left -= kept[label]
        waiting -= 1
    rng = np.random.default_rng(seed)
    starts = np.cumsum(counts) - counts
    rows = [
        order[start + np.sort(rng.permutation(count)[:keep])]
        for start, count, keep in zip(starts, counts, kept, strict=True)
    ]
    return np.concatenate(rows)


def sample_shares(labels: np.ndarray, counts: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """(N,) weights with which the chosen samples give the mean over all samples of some classes.

    Args:
        labels: (N,) classes of the samples chosen.
        counts: (K,) samples of each class in the whole set.
        classes: those whose mean it is.

    Returns:
        Weights that add up to 1, 0 outside the classes. All 0 where the classes have no sample.
    """
    chosen = np.bincount(labels, minlength=len(counts))
    own = np.isin(np.arange(len(counts)), list(classes)) & (chosen > 0)
    total = counts[own].sum()
    per_class = np.where(own, counts / np.maximum(chosen, 1), 0.0) / max(total, 1)
    return np.asarray(per_class[labels])
