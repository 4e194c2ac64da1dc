"""A set of images on the device, of which a training step makes its batch itself.

The host draws what is drawn at random, with the same generator and in the same order as for a batch
that it makes itself (`assembly.assembled`), and hands the draws over: some numbers per image in
place of its pixels. The step gathers, crops, mirrors, cuts and mixes. Pixels are those of the
host's batch to the last bit; what mixup has made floats of, to their last bit but one.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from keras import ops
from numpy.typing import NDArray

from keras_ccsam import backend
from keras_ccsam.data.batches.assembly import Batch, Samples
from keras_ccsam.data.batches.augment import Augmentation, PerImage, runs_in_step
from keras_ccsam.data.batches.batch_options import BatchOptions
from keras_ccsam.data.batches.cutmix import CutMix
from keras_ccsam.data.batches.mixing import draw_way, mixed_targets
from keras_ccsam.data.batches.mixup import Mixup
from keras_ccsam.data.images.store import ImageStore
from keras_ccsam.training.resident import ROWS, Plan
from keras_ccsam.typing import Tensor

SHARE = 0.25
"""Of an accelerator's memory, what `data_on="auto"` lets a set take at most."""


class DeviceCopy:
    """The copy of an array on the device, made when it is first asked for.

    Args:
        array: (N, ...).
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    @cached_property
    def tensor(self) -> Tensor:
        """The array's values, of its type."""
        return ops.convert_to_tensor(self.array)


class ResidentImages:
    """Images on the device; see `training.resident.Resident`.

    Args:
        copy: of the images (N, H, W, C), or of features (N, D), which are only gathered.
        augment: what is done to them; each must run in a step.
        options: of the batches.
    """

    def __init__(
        self, copy: DeviceCopy, augment: Sequence[Augmentation], options: BatchOptions
    ) -> None:
        self.copy, self._options = copy, options
        self._augment: Sequence[Any] = tuple(augment)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(self.copy.array.shape[1:])

    @property
    def program(self) -> object:
        """The augmentations, the ways of mixing and, where a step holds them, the images."""
        ways = self._options.mixup > 0, self._options.cutmix > 0
        return self._augment, ways, None if backend.STATELESS else self.copy

    def batch(self, samples: Samples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """A plan, labels and, where samples weigh, weights.

        Args:
            samples: of which the images are these.
            rows: of the batch (B,).
            rng: of the batch.
        """
        options, shape = self._options, self.shape
        drawn = [each.draws(len(rows), shape, rng) for each in self._augment]
        plan = self.gathered(rows)
        if drawn:
            plan["draws"] = {str(i): _named(each) for i, each in enumerate(drawn)}
        y, weights = samples.labels_at(rows)
        targets: tuple[Any, Any] = (y, weights)
        if options.mixes:
            way = draw_way(options, len(rows), shape, rng)
            plan["mixing"] = _mixing(way, len(rows))
            targets = mixed_targets(way, y, weights)
        return (plan, targets[0]) if targets[1] is None else (plan, *targets)

    def gathered(self, rows: NDArray[np.int64]) -> dict[str, Any]:
        """The plan of a batch of rows (B,) to which nothing is done."""
        plan: dict[str, Any] = {ROWS: rows.astype(np.int32)}
        images = self.copy.tensor  # made here, and not while a step is traced
        if backend.STATELESS:  # a compiled step holds no array there: it is handed over each time
            plan["images"] = images
        return plan

    def images(self, plan: Plan) -> Tensor:
        """The images of a plan (B, ...); of the set's type, or float32 with mixup."""
        x = ops.take(plan.get("images", self.copy.tensor), plan[ROWS], axis=0)
        for i, each in enumerate(self._augment):
            own = plan["draws"][str(i)]
            x = each.in_step(x, *(own[str(j)] for j in range(len(own))))
        if "mixing" not in plan:
            return x
        mixing = plan["mixing"]
        if self._options.cutmix:
            x = ops.where(_inside(mixing["box"], x.shape), _partners(x, mixing), x)
        if self._options.mixup:
            x = ops.cast(x, "float32")
            weight = ops.reshape(mixing["weight"], (-1, 1, 1, 1))
            x = x * weight + _partners(x, mixing) * (1.0 - weight)
        return x


def check_resident(images: Any, augment: Sequence[Augmentation], options: BatchOptions) -> str:
    """Why a set cannot lie on the device; empty where it can."""
    if isinstance(images, ImageStore) or not isinstance(images, np.ndarray):
        return "its images are read from files"
    others = [each for each in augment if not runs_in_step(each)]
    if others:
        return f"{_name(others[0])} is computed on the host"
    if options.views is not None:
        return f"the views of {type(options.views).__name__} are made on the host"
    if options.sample_index:
        return "the places of the images are told by the host"
    if options.mixes and images.ndim != 4:
        return f"only images (N, H, W, C) are mixed there, and these have shape {images.shape}"
    if options.process is not None or are_several():
        return "several devices or processes each take their share of a batch from the host"
    return ""


def are_several() -> bool:
    """Whether several devices or processes train together."""
    counts = backend.process_count(), backend.sharded_devices(), backend.replica_count()
    return max(counts) > 1


def fits(images: NDArray[Any]) -> bool:
    """Whether there is an accelerator, and the images are a small part of its memory."""
    memory = backend.accelerator_memory()
    return memory is not None and images.nbytes <= SHARE * memory


def _named(draws: Sequence[Any]) -> dict[str, NDArray[Any]]:
    arrays = [np.asarray(each) for each in draws]
    return {
        str(i): each.astype(np.int32) if each.dtype == np.int64 else each
        for i, each in enumerate(arrays)
    }


def _mixing(way: Mixup | CutMix | None, count: int) -> dict[str, NDArray[Any]]:
    """One structure for all ways, so that a step is compiled once; numbers per image."""
    order = np.arange(count) if way is None else way.order
    weight = way.weight if isinstance(way, Mixup) else np.float32(1)
    box = (0, 0, 0, 0)
    if isinstance(way, CutMix):
        box = (way.rows.start, way.rows.stop, way.columns.start, way.columns.stop)
    return {
        "order": order.astype(np.int32),
        "weight": np.full(count, weight, np.float32),
        "box": np.tile(np.array(box, np.int32), (count, 1)),
    }


def _partners(x: Tensor, mixing: Plan) -> Tensor:
    return ops.take(x, mixing["order"], axis=0)


def _inside(box: Tensor, shape: Sequence[int]) -> Tensor:
    """(B, H, W, 1): whether a pixel lies in the box."""
    row = ops.arange(shape[1], dtype="int32")[None, :, None, None]
    column = ops.arange(shape[2], dtype="int32")[None, None, :, None]
    top, bottom, left, right = (ops.reshape(box[:, i], (-1, 1, 1, 1)) for i in range(4))
    rows = ops.logical_and(row >= top, row < bottom)
    return ops.logical_and(rows, ops.logical_and(column >= left, column < right))


def _name(augment: Augmentation) -> str:
    return type(augment).__name__ if isinstance(augment, PerImage) else repr(augment)
