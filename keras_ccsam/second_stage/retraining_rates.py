"""Which weights of a head a second stage trains, and at which rates: declared once.

The stage (`Retraining`) and the model that it trains (`RetrainingModel`) take these.
"""

from typing import Annotated, Any, Literal, TypeAlias

import keras
from pydantic import Field

from keras_ccsam.checks import require

Learn: TypeAlias = Annotated[
    Literal["classifier", "scales", "both"],
    Field(description="the head, a scale per class with the head held (LWS), or both (MiSLAS)"),
]
RateFactor: TypeAlias = Annotated[
    float, Field(gt=0, description='of the head where learn = "both" (MiSLAS: 0.05 to 0.5)')
]
BatchNorm: TypeAlias = Annotated[
    Literal["frozen", "update"],
    Field(description="do BatchNorm statistics follow the balanced batches? (code: update)"),
]


def said(learn: str, epochs: int) -> str:
    """What is trained, and for how long, in words."""
    what = {
        "classifier": "the classifier is trained again",
        "scales": "a scale per class is trained",
        "both": "the classifier is trained again, with a scale per class",
    }
    return f"{what[learn]}, {epochs} epoch{'s'[: epochs != 1]}"


def stage2_sgd(
    lr: Annotated[float, Field(gt=0, description="learning rate of SGD (paper: 0.01)")] = 0.01,
    momentum: Annotated[float, Field(ge=0, lt=1, description="of SGD (paper: 0.9)")] = 0.9,
) -> keras.optimizers.SGD:
    """The second stage's optimizer where none is given."""
    return keras.optimizers.SGD(lr, momentum=momentum)


def check_rates(learn: str, lr_factor: float, optimizer: Any = None) -> None:
    """Whether the head's own weights can learn at `lr_factor` times the rate of the scales.

    Args:
        learn: as `Learn`.
        lr_factor: as `RateFactor`.
        optimizer: what `compile` takes; None where it is not known yet.

    Raises:
        ValueError: if they cannot.
    """
    if lr_factor == 1:
        return
    require(learn == "both", "lr_factor", lr_factor, f"1 with learn={learn!r}: one rate for all")
    if optimizer is None:
        return
    optimizer = keras.optimizers.get(optimizer)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # below a loss scale
    if not isinstance(optimizer, keras.optimizers.SGD):
        raise ValueError(
            "With an lr_factor other than 1 the optimizer must be a keras.optimizers.SGD, in which "
            "a multiple of the gradient is the same multiple of the rate. "
            f"Received: optimizer={type(optimizer).__name__}, lr_factor={lr_factor}"
        )
    for name in ("clipnorm", "global_clipnorm", "clipvalue", "weight_decay"):
        if getattr(optimizer, name, None):
            raise ValueError(
                "With an lr_factor other than 1 the optimizer must neither clip gradients nor "
                "decay weights itself, since it sees only the multiplied gradients; use the "
                f"stage's own `weight_decay`. Received: {name}={getattr(optimizer, name)}, "
                f"lr_factor={lr_factor}"
            )
