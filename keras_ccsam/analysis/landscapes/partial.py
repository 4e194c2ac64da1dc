"""What is done of a landscape, kept in a file, so that one that was killed goes on."""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis.landscapes.result import read, write
from keras_ccsam.analysis.model_at import ClassTotals

PathLike = str | os.PathLike[str]

FORMAT = "keras_ccsam landscape, in part 1"


class Partial:
    """The points that are done.

    Args:
        shape: of the points; two axes.
        classes: K.
        path: the landscape's file; what is done lies beside it, in `<name>.partial.npz`. None keeps
            nothing.
        key: what the points are a function of: weights, data, directions, grid. A file of another
            key is not taken up, and is written over.
        every: seconds between two writings.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        path: PathLike | None,
        key: dict[str, Any],
        every: float,
    ) -> None:
        self.loss_sum = np.full((*shape, classes), np.nan)
        self.correct = np.zeros((*shape, classes), "int64")
        self.done = np.zeros(shape, bool)
        self.path = None if path is None else Path(path).with_suffix(".partial.npz")
        self.resumed = 0
        self._key = key
        self._every = every
        self._written = time.perf_counter()
        self._take_up()

    def set(self, index: tuple[int, ...], totals: ClassTotals) -> None:
        """A point is done."""
        self.loss_sum[index] = totals.loss
        self.correct[index] = totals.correct
        self.done[index] = True

    def missing(self) -> list[tuple[int, ...]]:
        """The points that are not done, as they lie."""
        return [tuple(int(i) for i in index) for index in np.argwhere(~self.done)]

    def keep(self, now: bool = False) -> None:
        """Write what is done, if it is time or must be."""
        if self.path is None or not (now or time.perf_counter() - self._written >= self._every):
            return
        arrays = {"loss_sum": self.loss_sum, "correct": self.correct, "done": self.done}
        write(self.path, {"format": FORMAT, "key": self._key}, arrays)
        self._written = time.perf_counter()

    def drop(self) -> None:
        """Remove the file: the landscape itself is written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)

    def _take_up(self) -> None:
        if self.path is None or not self.path.is_file():
            return
        try:
            about, arrays = read(self.path, FORMAT)
        except ValueError:
            return
        if about.get("key") != self._key or arrays["loss_sum"].shape != self.loss_sum.shape:
            return
        self.loss_sum, self.correct = arrays["loss_sum"], arrays["correct"]
        self.done = arrays["done"]
        self.resumed = int(self.done.sum())
