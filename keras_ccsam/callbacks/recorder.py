"""A callback that looks at the model after each epoch and keeps what it saw in a JSON file.

It leaves no trace in the training: weights, BatchNorm, seeds and the random state are those of a
run without it, bit for bit. The epoch's time is not its own where it comes after `MetricsLog`.
"""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam import atomic, backend, processes
from keras_ccsam.callbacks.metrics_log import finite

_DIGITS = 9


class Recorder(keras.callbacks.Callback):
    """The base of what is recorded epoch by epoch.

    Args:
        path: the JSON file to keep whole after every epoch; None keeps the values in memory alone.
            A picture of the same name is drawn when training ends.

    Attributes:
        epochs: from 1.
        values: a column's name to one list per epoch, of one number per class.

    Raises:
        ValueError: the file's folder does not exist.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.path = None if path is None else Path(path)
        if self.path is not None and not self.path.parent.is_dir():
            raise ValueError(
                "the record is written into an existing folder; create it first. "
                f"Received: path={str(path)!r}"
            )
        self.epochs: list[int] = []
        self.values: dict[str, list[list[float]]] = {}

    def prepare(self, model: keras.Model) -> None:
        """Called once, before the first epoch."""

    def measure(self) -> dict[str, list[float]]:
        """The values of each column, one per class, with the model's weights now."""
        raise NotImplementedError

    def content(self) -> dict[str, Any]:
        """What the file holds, as JSON types but NaN."""
        raise NotImplementedError

    def draw(self, path: Path) -> None:
        """Draws the picture."""

    def on_train_begin(self, logs: Any = None) -> None:
        """Another `fit` from its first epoch on begins anew."""
        self.epochs, self.values = [], {}
        self.prepare(self.model)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measures and writes."""
        # On JAX the model's variables hold their values again once the model is asked for.
        if self.model is None:
            return
        rewind = backend.replay_rng()
        found = self.measure()
        rewind()
        self.epochs.append(epoch + 1)
        for name, values in found.items():
            self.values.setdefault(name, []).append([_rounded(value) for value in values])
        self.write()

    def on_train_end(self, logs: Any = None) -> None:
        """Draws; a picture that fails must not cost the run."""
        if self.path is not None and self.epochs and processes.writes():
            try:
                self.draw(self.path.with_suffix(".png"))
            except (OSError, RuntimeError, ValueError) as error:
                warnings.warn(f"the plot could not be drawn: {error}", stacklevel=2)

    def write(self) -> None:
        """Writes the file, if there is one."""
        if self.path is not None and processes.writes():
            text = json.dumps(finite(self.content()), ensure_ascii=False, allow_nan=False)
            atomic.write_text(self.path, text + "\n")


def _rounded(value: float) -> float:
    """As many digits as single precision can be worth, which keeps the file small."""
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else value
