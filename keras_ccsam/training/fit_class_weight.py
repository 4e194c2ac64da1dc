"""The `class_weight` of `fit`: made of the class counts, and given to whoever can apply it.

    L = sum_i w_{y_i} l_i / B

Keras applies class weights to labels that are one array. Mixed labels are none: a `BatchSequence`
weighs each of a sample's two labels itself.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.losses.balanced_class_weight import balanced_class_weight


def with_class_weight(
    arguments: Mapping[str, Any],
    num_classes: int,
    classes: NDArray[np.int32] | None,
    told: Sequence[Sequence[int]],
) -> dict[str, Any]:
    """The arguments of a `fit` whose class weights Keras, or its batches, can apply.

    Args:
        arguments: of `keras.Model.fit`, by name.
        num_classes: K.
        classes: (N,) of the arrays given to `fit`; None where they are not known.
        told: the class counts that the method and the loss were given.

    Raises:
        ValueError: for another text than "auto", or "auto" where no class counts are known.
    """
    x: Any = arguments.get("x")
    weights = arguments.get("class_weight")
    if weights is None:
        return dict(arguments)
    if isinstance(weights, str):
        if weights != "auto":
            raise ValueError(
                '`class_weight` must be "auto" or weights by class number, as '
                "keras_ccsam.balanced_class_weight(class_counts, power=0.5) makes them. "
                f"Received: class_weight={weights!r}"
            )
        weights = balanced_class_weight(_counts(x, num_classes, classes, told))
    if not hasattr(x, "with_options"):
        return {**arguments, "class_weight": weights}
    return {**arguments, "x": x.with_options(class_weight=weights), "class_weight": None}


def _counts(
    x: Any,
    num_classes: int,
    classes: NDArray[np.int32] | None,
    told: Sequence[Sequence[int]],
) -> Sequence[int]:
    """The data's own class counts, if it shows them, else the first that were told."""
    if classes is not None:
        return [int(count) for count in np.bincount(classes, minlength=num_classes)]
    known: list[Sequence[int]] = [x.class_counts] if hasattr(x, "class_counts") else []
    for counts in [*known, *told]:
        return counts
    raise ValueError(
        'class_weight="auto" needs the class counts, which this data does not show: give arrays, '
        "or class_weight=keras_ccsam.balanced_class_weight(class_counts). "
        "Received: class_weight='auto'"
    )
