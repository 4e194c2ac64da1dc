"""What every source hands over: labelled images before the long tail is cut."""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.data.images.store import ImageStore, Pixels

Images: TypeAlias = Pixels | ImageStore
"""In memory, or read when they are asked for; `images.store.taken` cuts a part from either."""
Labels: TypeAlias = NDArray[np.int32]


@dataclass(frozen=True)
class Skipped:
    """An image file that was left out.

    Attributes:
        split: the part that it was of.
        path: as the set names it.
        class_name: its class.
        kind, reason: what is wrong with it, see `images.unreadable.UnreadableImage`.
    """

    split: str
    path: str
    class_name: str
    kind: str
    reason: str


@dataclass(frozen=True, eq=False)
class Source:
    """A labelled image set.

    Attributes:
        name: name of the data set that is built from it.
        x_train: training images (N, H, W, C), uint8 or float32: an array or an `ImageStore`.
        y_train: training classes (N,), int32.
        x_test: test images (M, H, W, C), in either form, or `None`.
        y_test: test classes (M,) or `None`.
        class_names: one name per class.
        positions: position of each training image in the origin's own order (N,), int64.
        origin: where the images come from.
        licence: terms of the images, and whom to cite.
        x_validation: validation images of the origin's own, or `None`.
        y_validation: their classes, or `None`.
        groups: of the training images (N,), such as patients: a group is on one side of a split.
        weights: of the training images (N,), float32, as a loss takes sample weights.
        notes: what a user should know of the set before relying on it.
        skipped: image files that were left out because they cannot be read.
        drawn: True if the file lists, class by class, a draw from a larger set (it is long-tailed
            and names the positions): its first n_c images of each class are that draw.
    """

    name: str
    x_train: Images
    y_train: Labels
    x_test: Images | None
    y_test: Labels | None
    class_names: tuple[str, ...]
    positions: NDArray[np.int64]
    origin: str
    licence: str
    drawn: bool = False
    x_validation: Images | None = None
    y_validation: Labels | None = None
    groups: NDArray[Any] | None = None
    weights: NDArray[np.float32] | None = None
    notes: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def num_classes(self) -> int:
        """Number of classes C."""
        return len(self.class_names)

    @property
    def available(self) -> tuple[int, ...]:
        """Training images at hand of each class."""
        return tuple(np.bincount(self.y_train, minlength=self.num_classes).tolist())
