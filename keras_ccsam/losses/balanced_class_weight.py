"""Keras' `class_weight`, made of the class counts.

    w_c ~ n_c^-power, or E_{n_c}^-power with a beta       (E_n: losses/effective_number.py)

    mean="samples"   sum_c n_c w_c / sum_c n_c = 1        the loss keeps its size (the default)
    mean="classes"   sum_c w_c / C = 1                    as the long-tail literature has it

With power 1 and `mean="samples"` that is w_c = N / (C n_c), scikit-learn's `"balanced"` (after King
and Zeng, Logistic regression in rare events data, 2001) and the formula of Keras' own tutorial on
imbalanced data. A power below 1 is gentler; the effective number is that of Cui et al.
(arXiv:1901.05555). Keras divides a batch's weighted losses by the number of samples, so that with
weights of mean 1 over the samples the learning rate keeps its meaning.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from keras_ccsam.checks import check_class_counts
from keras_ccsam.losses.effective_number import effective_numbers
from keras_ccsam.options import checked


def balanced_class_weight(
    class_counts: Sequence[int],
    power: Annotated[
        float,
        Field(ge=0, le=1, description="of 1 / n_c: 1 balances the classes, 0 weighs all alike"),
    ] = 1.0,
    beta: Annotated[
        float | None,
        Field(ge=0, lt=1, description="of the effective number in n_c's place (paper: 0.9999)"),
    ] = None,
    mean: Annotated[
        Literal["samples", "classes"],
        Field(description="over what the weights' mean is 1: the loss keeps its size over samples"),
    ] = "samples",
) -> dict[int, float]:
    """The `class_weight` that balances classes, for `fit` of any Keras model.

    Args:
        class_counts: n_c, the training images of each class: `numpy.bincount(y_train)`. A class
            without any gets weight 1 and does not count.
        power: in [0, 1]; 0.5 weighs by 1 / sqrt(n_c).
        beta: in [0, 1); the counts by default.
        mean: see above.

    Returns:
        The weight of each class by its number.

    Raises:
        ValueError: for an option out of range, counts that are no whole numbers, or none above 0.

    Example:
        >>> balanced_class_weight([90, 10])
        {0: 0.5555555555555556, 1: 5.0}
        >>> model.fit(x, y, class_weight=balanced_class_weight(np.bincount(y), power=0.5))
    """
    checked(balanced_class_weight, {"power": power, "beta": beta, "mean": mean})
    counts = np.asarray(check_class_counts(class_counts, at_least=0), "float64")
    if not counts.any():
        raise ValueError(
            "`class_counts` must have a class with an image. "
            f"Received: class_counts={counts.astype(int).tolist()}"
        )
    there = counts > 0
    n = counts[there]
    weights = (n if beta is None else effective_numbers(n, beta)) ** -power
    weights /= np.average(weights, weights=n if mean == "samples" else None)
    every = np.ones(len(counts))
    every[there] = weights
    return {label: float(weight) for label, weight in enumerate(every)}


def check_class_weight(class_weight: Any, num_classes: int) -> dict[int, float]:
    """A `class_weight` that covers the classes, each named once; those left out weigh 1.

    Args:
        class_weight: weights by class number, or one number per class in the order of the labels.
        num_classes: C.

    Raises:
        ValueError: if it is neither, a class does not exist, or a weight is no number of at least
            0.
    """
    if isinstance(class_weight, Mapping):
        given = dict(class_weight)
    elif isinstance(class_weight, Sequence | np.ndarray) and not isinstance(class_weight, str):
        if len(class_weight) != num_classes:
            raise ValueError(
                f"`class_weight` must have one number for each of the {num_classes} classes. "
                f"Received: class_weight of length {len(class_weight)}"
            )
        given = dict(enumerate(class_weight))
    else:
        raise ValueError(
            '`class_weight` must be "auto", or weights by class number, as '
            "keras_ccsam.balanced_class_weight(class_counts, power=0.5) makes them. "
            f"Received: class_weight={class_weight!r}"
        )
    found = dict.fromkeys(range(num_classes), 1.0)
    for label, weight in given.items():
        if isinstance(label, bool) or not _is_whole(label) or not 0 <= label < num_classes:
            raise ValueError(
                f"`class_weight` names classes by their number, from 0 to {num_classes - 1}. "
                f"Received: class_weight[{label!r}]={weight!r}"
            )
        number = isinstance(weight, int | float | np.number) and not isinstance(weight, bool)
        if not (number and 0 <= weight < np.inf):
            raise ValueError(
                "A class weight must be a number of at least 0. "
                f"Received: class_weight[{label}]={weight!r}"
            )
        found[int(label)] = float(weight)
    return found


def _is_whole(label: object) -> bool:
    return isinstance(label, int | np.integer)
