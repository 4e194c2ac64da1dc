"""Class counts that cannot be those of the data that a model is fitted to.

A subset of the data, a class-balanced draw from it or a few files of it are no reason to warn:
their counts differ from the training set's in ways that the rules below leave alone.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.checks import check_class_counts

_SHOWN = 4
# Counts as low as these may be anything by chance.
_ENOUGH = 20


def warn_of_counts(given: Sequence[int], x: Any, classes: NDArray[np.int32] | None) -> None:
    """Warns where class counts cannot be right, with the classes and both counts.

    Args:
        given: what a method or a loss was told, (K,).
        x: of `keras.Model.fit`; a sequence that resamples its classes states the `class_counts` of
            its training part, and perhaps `class_names`.
        classes: (N,) of the arrays given to `fit`, None where they are not known.
    """
    known = getattr(x, "class_counts", None)
    if known is None and classes is not None:
        known = np.bincount(classes, minlength=len(given))
    if known is None or len(known) != len(given):
        return
    counts = [int(count) for count in known]
    wrong = impossible_counts(given, counts)
    if not wrong:
        return
    names = getattr(x, "class_names", None) or [str(c) for c in range(len(given))]
    shown = "; ".join(
        f"class {names[c]} has {counts[c]} in the data and {given[c]} in class_counts"
        for c in wrong[:_SHOWN]
    )
    more = f"; and {len(wrong) - _SHOWN} more classes" if len(wrong) > _SHOWN else ""
    warnings.warn(
        f"`class_counts` cannot be those of this data: {shown}{more}. They are the number of "
        "training images of each class, in the order of the labels: numpy.bincount(y_train).",
        UserWarning,
        stacklevel=4,  # whoever called `fit`
    )


def impossible_counts(given: Sequence[int], found: Sequence[int]) -> list[int]:
    """The classes whose counts cannot be right.

    * More than ten times as many samples as there should be.
    * Two classes in reversed order, by a factor of three or more on both sides.
    * A class ten times rarer than its share of `given`, and ten times rarer than the mean class: a
      tail of which `given` knows nothing. (In a draw that favours rare classes the frequent ones
      are rarer than their share, but not than the mean.)
    * All classes a hundred times rarer than stated: of another order of magnitude, and no part of
      the data that anyone would train on alone.

    A class without a sample counts for nothing: the data may be a part.

    Args:
        given: n_c as stated, (K,).
        found: n_c of the data, (K,).
    """
    says = np.asarray(check_class_counts(given), "float64")
    has = np.asarray(found, "float64")
    total = has.sum()
    expected = total * says / says.sum()
    rare = (expected >= _ENOUGH) & (10 * has <= np.minimum(expected, total / len(has)))
    wrong = (has >= 10 * says) | (rare & (has > 0))
    if (100 * has[has > 0] <= says[has > 0]).all():
        wrong |= has > 0
    # Of all classes that should be three times rarer than a class, the one with most samples.
    order = np.argsort(says, kind="stable")
    most = np.maximum.accumulate(has[order])
    rarer = np.searchsorted(says[order], says / 3, side="right")
    rivals = np.where(rarer > 0, most[np.maximum(rarer, 1) - 1], 0.0)
    reversed_pair = (has > 0) & (rivals >= _ENOUGH) & (rivals >= 3 * has)
    wrong |= reversed_pair
    for c in np.flatnonzero(reversed_pair):
        wrong |= (says <= says[c] / 3) & (has == rivals[c])
    return [int(c) for c in np.flatnonzero(wrong)]
