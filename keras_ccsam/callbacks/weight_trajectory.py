"""The path of the weights through a training, for a landscape around it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam import processes
from keras_ccsam.analysis.landscapes.trajectory import write_trajectory


class WeightTrajectory(keras.callbacks.Callback):
    """Keeps the trainable weights, before the first epoch and after each, and writes them.

    The file is an .npz with `weights` (E + 1, W), float32, all trainable variables one after the
    other, and their shapes. It is written when `fit` ends: 4 (E + 1) W bytes, held in memory until
    then. `analysis.landscapes.trajectory_directions` reads it.

    Args:
        path: of the .npz; its folder is made.
        every: keep every so manieth epoch and the last. 1 by default.

    Raises:
        ValueError: `every` is below 1.

    Example:
        >>> model.fit(data.train, epochs=40, callbacks=[WeightTrajectory("trajectory.npz")])
    """

    def __init__(self, path: str | os.PathLike[str], every: int = 1) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be at least 1. Received: every={every}")
        self.path = Path(path)
        self.every = every
        self._kept: list[np.ndarray] = []
        self._epoch = self._last = 0

    def on_train_begin(self, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the start."""
        self._kept = [self._weights()]
        self._epoch = self._last = 0

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Keep the epoch's end."""
        self._epoch += 1
        if self._epoch % self.every == 0:
            self._keep()

    def on_train_end(self, logs: Mapping[str, Any] | None = None) -> None:
        """Write."""
        if self._last < self._epoch:
            self._keep()
        shapes = [tuple(v.shape) for v in self.model.trainable_variables]
        if processes.writes():
            write_trajectory(self.path, np.stack(self._kept), shapes)

    def _keep(self) -> None:
        self._kept.append(self._weights())
        self._last = self._epoch

    def _weights(self) -> np.ndarray:
        parts = [ops.convert_to_numpy(v) for v in self.model.trainable_variables]
        return np.concatenate([np.asarray(part, "float32").ravel() for part in parts])
