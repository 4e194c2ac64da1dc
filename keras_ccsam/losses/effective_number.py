"""Effective numbers of samples, and the class weights that are made of them.

    E_n = (1 - beta^n) / (1 - beta)
    u_c = C (1 / E_{n_c}) / sum_k (1 / E_{n_k})                        so that sum_c u_c = C

Cui et al., "Class-balanced loss based on effective number of samples" (arXiv:1901.05555).
beta = 0 weighs all classes alike; beta towards 1 weighs them by 1 / n_c.
"""

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from keras_ccsam.checks import check_class_counts
from keras_ccsam.options import checked

EffectiveBeta: TypeAlias = Annotated[
    float, Field(ge=0, lt=1, description="of (1 - beta) / (1 - beta^n) (paper and field: 0.9999)")
]
BETA = 0.9999  # the paper's and LDAM-DRW's


def effective_number_weights(
    class_counts: Sequence[int], beta: EffectiveBeta = BETA
) -> tuple[float, ...]:
    """u_c of each class; their sum is the number of classes.

    Args:
        class_counts: n_c, the number of training images of each class.
        beta: in [0, 1).

    Raises:
        ValueError: if `beta` is outside [0, 1), or a class count is not a whole number of at
            least 1.
    """
    beta = checked(effective_number_weights, {"beta": beta})["beta"]
    weights = 1.0 / effective_numbers(check_class_counts(class_counts), beta)
    return tuple(float(u) for u in weights * (len(weights) / weights.sum()))


def effective_numbers(counts: Any, beta: float) -> NDArray[np.float64]:
    """E_n of each count (C,), in [1, n]; `beta` in [0, 1)."""
    n = np.asarray(counts, dtype=np.float64)
    if beta == 0.0:
        return np.ones_like(n)
    # 1 - beta^n cancels where beta is near 1.
    return np.asarray(-np.expm1(n * np.log(beta)) / (1.0 - beta))
