"""Which images an epoch shows, and in which order.

Every sampler is a pure function of (labels, seed, epoch): a resumed run continues with the batches
that it would have seen, and processes that share an epoch agree on it without talking.

    sequential              the images in order (evaluation)
    instance                every image once, shuffled
    class_balanced          a shuffled cycle over classes; each visit takes the next images of the
                            class's own shuffled cycle (OLTR; Kang et al. 2020, "class-aware")
    square_root             classes drawn with p_c ~ sqrt(n_c)                    (Kang et al. 2020)
    progressively_balanced  p_c(t) = (1 - t/T) n_c/N + (t/T)/C, epoch t of T      (Kang et al. 2020)
    inverse_frequency       images drawn with replacement, weight 1/n_c               (GCL, M2m)
    effective_number        the same, weight (1 - b)/(1 - b^n_c), b = 0.9999  (Cui et al. 2019)

An epoch is N draws for each of them, N the number of training images.
"""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.sources.source import Labels
from keras_ccsam.losses.effective_number import BETA, effective_numbers

TrainingSampler = Literal[
    "instance",
    "class_balanced",
    "square_root",
    "progressively_balanced",
    "inverse_frequency",
    "effective_number",
]
Sampler = Literal["sequential", TrainingSampler]
SAMPLERS: tuple[str, ...] = get_args(Sampler)

_STREAM = 3  # keeps these draws apart from the augmentations', which share seed and epoch

Rows = NDArray[np.int64]


def check_sampler(sampler: str, epochs: int | None = None) -> None:
    """Refuses an unknown sampler, or one that lacks the number of epochs, with a `ValueError`."""
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {SAMPLERS}. Received: sampler={sampler!r}")
    if sampler == "progressively_balanced" and (epochs is None or epochs < 1):
        raise ValueError(
            "The sampler 'progressively_balanced' needs the planned number of epochs, at least 1. "
            f"Received: epochs={epochs}"
        )


def epoch_plan(
    sampler: Sampler,
    labels: Labels,
    *,
    seed: int,
    epoch: int,
    epochs: int | None = None,
    images_per_class: int = 1,
    length: int | None = None,
) -> Rows:
    """The rows that an epoch shows, in order.

    Args:
        sampler: a name of `SAMPLERS`.
        labels: classes of the images (N,), each at least 0.
        seed: at least 0.
        epoch: counted from 0.
        epochs: planned number of epochs T, for `"progressively_balanced"`.
        images_per_class: images per visit, for `"class_balanced"` (1 in CC-SAM; 4 in decoupling and
            MiSLAS).
        length: number of draws; default N.

    Returns:
        Row numbers (length,).

    Raises:
        ValueError: if the sampler is unknown or lacks `epochs`.
    """
    check_sampler(sampler, epochs)
    length = len(labels) if length is None else length
    rng = np.random.default_rng(np.random.SeedSequence((seed, epoch), spawn_key=(_STREAM,)))
    if sampler == "sequential":
        return np.resize(np.arange(len(labels), dtype=np.int64), length)
    if sampler == "instance":
        return _shuffled_cycle(np.arange(len(labels), dtype=np.int64), length, rng)
    classes = RowsByClass(labels)
    if sampler == "class_balanced":
        visits = _class_visits(len(classes.counts), length, images_per_class, rng)
        return classes.from_cycles(visits, rng)
    probabilities = class_probabilities(sampler, classes.counts, epoch=epoch, epochs=epochs)
    drawn = rng.choice(len(probabilities), size=length, p=probabilities)
    if sampler in ("inverse_frequency", "effective_number"):
        return classes.with_replacement(drawn, rng)
    return classes.from_cycles(drawn, rng)


def class_probabilities(
    sampler: Sampler, counts: NDArray[np.int64], *, epoch: int = 0, epochs: int | None = None
) -> NDArray[np.float64]:
    """The share of draws that each class gets in expectation.

    Args:
        sampler: a name of `SAMPLERS`.
        counts: images of each class (C,), all above 0.
        epoch: counted from 0, for `"progressively_balanced"`.
        epochs: planned number of epochs, for the same.

    Returns:
        (C,), sums to 1.
    """
    check_sampler(sampler, epochs)
    n = np.asarray(counts, dtype=np.float64)
    balanced = np.full(len(n), 1.0 / len(n))
    if sampler in ("class_balanced", "inverse_frequency"):
        return balanced
    if sampler == "square_root":
        weights = np.sqrt(n)
    elif sampler == "effective_number":
        weights = n / effective_numbers(n, BETA)
    elif sampler == "progressively_balanced":
        progress = min(epoch / (epochs or 1), 1.0)
        weights = (1 - progress) * n / n.sum() + progress * balanced
    else:
        weights = n
    return weights / weights.sum()


class RowsByClass:
    """Rows grouped by class; classes without rows are left out, and the others numbered through.

    Args:
        labels: (N,).

    Attributes:
        rows: (N,), class by class.
        classes: (C,) those that have rows.
        starts, counts: (C,) of each, where its rows begin and how many they are.
    """

    def __init__(self, labels: Labels) -> None:
        self.rows = np.argsort(labels, kind="stable").astype(np.int64)
        self.classes, self.starts, self.counts = np.unique(
            labels[self.rows], return_index=True, return_counts=True
        )

    def with_replacement(self, classes: Rows, rng: np.random.Generator) -> Rows:
        """One independent row for each class drawn."""
        return self.rows[self.starts[classes] + rng.integers(self.counts[classes])]

    def from_cycles(self, classes: Rows, rng: np.random.Generator) -> Rows:
        """For each class drawn the next row of that class's shuffled cycle."""
        plan = np.empty(len(classes), dtype=np.int64)
        slots = np.argsort(classes, kind="stable")  # the places of class 0, then of class 1, ...
        ends = np.cumsum(np.bincount(classes, minlength=len(self.counts)))
        for label, places in enumerate(np.split(slots, ends[:-1])):
            start = self.starts[label]
            members = self.rows[start : start + self.counts[label]]
            plan[places] = _shuffled_cycle(members, len(places), rng)
        return plan


def _shuffled_cycle(rows: Rows, length: int, rng: np.random.Generator) -> Rows:
    """Shuffles of all rows, one after the other, cut to `length`."""
    rounds = -(-length // len(rows))
    return rng.permuted(np.broadcast_to(rows, (rounds, len(rows))), axis=1).reshape(-1)[:length]


def _class_visits(num_classes: int, length: int, each: int, rng: np.random.Generator) -> Rows:
    """The class of every draw: a shuffled cycle over classes, `each` draws per visit."""
    visits = _shuffled_cycle(np.arange(num_classes, dtype=np.int64), -(-length // each), rng)
    return np.repeat(visits, each)[:length]
