"""When something begins in a run: a share of its epochs, or an epoch number."""

import math
from typing import Annotated, TypeAlias

from pydantic import Field

from keras_ccsam.checks import require
from keras_ccsam.options import checked

Start: TypeAlias = Annotated[
    Annotated[int, Field(ge=0)] | Annotated[float, Field(gt=0, lt=1)],
    Field(description="share of the epochs, or an epoch from 0 on"),
]
# Where the learning rate of 200 epochs drops first, at 160: what is deferred begins there.
FIRST_DROP = 0.8


def check_start(start: Start) -> None:
    """Refuses what is neither a share of the epochs nor an epoch number.

    Raises:
        ValueError: if `start` is no float in (0, 1) and no whole number from 0 on.
    """
    checked(check_start, {"start": start})


def first_epoch(start: float, epochs: int) -> int:
    """The epoch, counted from 0, that `start` means in a run of so many epochs.

    Args:
        start: a share of the epochs in (0, 1), rounded down, or an epoch number.
        epochs: of the run.

    Raises:
        ValueError: as `check_start`, or if the run ends before that epoch.
    """
    check_start(start)
    if isinstance(start, float):
        # The product of a share such as 0.29 and 100 is a little less than its 29.
        return min(math.floor(start * epochs + 1e-9), epochs - 1)
    require(start < epochs, "start", start, f"an epoch before the end of the {epochs} epochs")
    return start
