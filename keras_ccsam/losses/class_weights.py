"""Class weights by name, each scaled so that sum_c u_c = C.

effective_number      u_c ~ (1 - beta) / (1 - beta^n_c)      (Cui et al. 2019; LDAM-DRW)
inverse               u_c ~ 1 / n_c
inverse_square_root   u_c ~ 1 / sqrt(n_c)
auto                  u_c ~ n_c^-power                       (power 1: inverse; 0: all alike)
"""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias, get_args

import numpy as np
from pydantic import Field

from keras_ccsam.checks import check_class_counts
from keras_ccsam.hints import did_you_mean
from keras_ccsam.losses.effective_number import BETA, EffectiveBeta, effective_number_weights
from keras_ccsam.options import checked

ClassWeights = Literal["effective_number", "inverse", "inverse_square_root", "auto"]
CLASS_WEIGHTS: tuple[str, ...] = get_args(ClassWeights)
Power: TypeAlias = Annotated[
    float, Field(ge=0, le=1, description='of 1 / n_c, for weights "auto": 0 weighs all alike')
]


def class_weights(
    class_counts: Sequence[int],
    name: ClassWeights = "effective_number",
    beta: EffectiveBeta = BETA,
    power: Power = 1.0,
) -> tuple[float, ...]:
    """u_c of each class; their sum is the number of classes.

    Args:
        class_counts: n_c, the number of training images of each class.
        name: one of `CLASS_WEIGHTS`.
        beta: of the effective number, in [0, 1).
        power: of `"auto"`, in [0, 1].

    Raises:
        ValueError: for an unknown name, a `beta` outside [0, 1), a `power` outside [0, 1], or a
            count below 1.
    """
    if name not in CLASS_WEIGHTS:
        hint = did_you_mean(name, CLASS_WEIGHTS)
        raise ValueError(
            f"Class weights are {', '.join(CLASS_WEIGHTS)}{hint}. Received: weights={name!r}"
        )
    if name == "effective_number":
        return effective_number_weights(class_counts, beta)
    power = checked(class_weights, {"power": power})["power"]
    power = {"inverse": 1.0, "inverse_square_root": 0.5}.get(name, power)
    weights = np.asarray(check_class_counts(class_counts), "float64") ** -power
    return tuple(float(u) for u in weights * (len(weights) / weights.sum()))
