"""How batches are made: the options of a `BatchSequence`, checked before a batch is made."""

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, get_args

import numpy as np

from keras_ccsam.data.batches.augment import Augmentation
from keras_ccsam.data.batches.samplers import Sampler, check_sampler
from keras_ccsam.data.batches.views import Views
from keras_ccsam.data.batches.workers import Workers
from keras_ccsam.data.tails.tail import check_option

DataOn = Literal["host", "device", "auto"]
"""Where a set lies whose batches are trained on."""

# Options that belong to stage 1: a second stage, which balances by itself, begins without them.
STAGE_ONE_OFF: Mapping[str, Any] = MappingProxyType(
    {
        "deferred_sampler": None,
        "deferred_from": 0,
        "cutmix": 0.0,
        "mix_probability": 1.0,
        "class_weight": None,
        "views": None,
        "sample_index": False,
    }
)


@dataclasses.dataclass(frozen=True)
class BatchOptions:
    """How batches are made; `LongTailedData.batches` explains each option."""

    batch_size: int = 128
    sampler: Sampler | Literal["default"] = "default"
    augment: str | tuple[str | Augmentation, ...] = "default"
    mixup: float = 0.0
    seed: int = 0
    drop_remainder: bool = False
    workers: Workers = "auto"
    epochs: int | None = None
    images_per_class: int = 1
    process: tuple[int, int] | None = None
    deferred_sampler: Sampler | None = None
    deferred_from: int = 0
    cutmix: float = 0.0
    cutmix_share: float = 0.5
    mix_probability: float = 1.0
    class_weight: Any = None
    views: Views | None = None
    data_on: DataOn = "host"
    sample_index: bool = False

    def __post_init__(self) -> None:
        names = ["batch_size", "images_per_class"]
        for name in names if self.workers == "auto" else [*names, "workers"]:
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
                raise ValueError(
                    f"{name} must be an integer of at least 1. Received: {name}={value!r}"
                )
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            if not (_is_number(value) and math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"{name} is the alpha of a Beta distribution: a number of at least 0 (0: no "
                    f"{name}). Received: {name}={value!r}"
                )
        for name in ("cutmix_share", "mix_probability"):
            value = getattr(self, name)
            if not (_is_number(value) and 0 <= value <= 1):
                raise ValueError(f"{name} must be between 0 and 1. Received: {name}={value!r}")
        if isinstance(self.class_weight, str) and self.class_weight != "auto":
            raise ValueError(
                'class_weight must be "auto", weights by class number, or None. '
                f"Received: class_weight={self.class_weight!r}"
            )
        check_data_on(self.data_on)
        check_option("seed", self.seed)
        if self.sampler != "default":
            check_sampler(self.sampler, self.epochs)
        self._check_views()
        self._check_deferred()
        if self.process is not None:
            _check_process(self.process)

    def _check_views(self) -> None:
        if self.views is None:
            return
        if not isinstance(self.views, Views):
            raise ValueError(
                "views must be a data.views.Views, such as data.views.RegMixup(), or None. "
                f"Received: views={self.views!r}"
            )
        if self.mixes:
            raise ValueError(
                "views say themselves what is mixed: leave out mixup and cutmix. "
                f"Received: mixup={self.mixup}, cutmix={self.cutmix}, views={self.views!r}"
            )

    def _check_deferred(self) -> None:
        first = self.deferred_from
        if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
            raise ValueError(
                "deferred_from must be an epoch, an integer of at least 0. "
                f"Received: deferred_from={first!r}"
            )
        if self.deferred_sampler is not None:
            check_sampler(self.deferred_sampler, self.epochs)
        elif first:
            raise ValueError(
                "deferred_from is the first epoch of deferred_sampler, which must be named. "
                f"Received: deferred_from={first} without deferred_sampler"
            )

    @property
    def mixes(self) -> bool:
        """Whether batches are mixed, so that their labels are `mixup.MixedLabels`."""
        return self.mixup > 0 or self.cutmix > 0

    def sampler_at(self, epoch: int, default: Sampler) -> Sampler:
        """The sampler of an epoch; `default` is what `"default"` stands for."""
        if self.deferred_sampler is not None and epoch >= self.deferred_from:
            return self.deferred_sampler
        return default if self.sampler == "default" else self.sampler


def check_data_on(data_on: Any) -> DataOn:
    """Returns it.

    Raises:
        ValueError: it is none of the three.
    """
    if data_on not in get_args(DataOn):
        raise ValueError(
            f"data_on must be one of {get_args(DataOn)}. Received: data_on={data_on!r}"
        )
    choice: DataOn = data_on
    return choice


def _check_process(process: Any) -> None:
    pair = isinstance(process, tuple | list) and len(process) == 2
    whole = pair and all(isinstance(n, int) and not isinstance(n, bool) for n in process)
    if not whole or not 0 <= process[0] < process[1]:
        raise ValueError(
            "process must be which one, counted from 0, of how many: (0, 2) and (1, 2) for two; "
            f"None is the one that runs. Received: process={process!r}"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
