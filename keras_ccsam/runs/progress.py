"""What a run shows while it trains: a bar on a terminal, one line an epoch elsewhere."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import keras


def verbosity(progress: str, stage: int) -> tuple[int, list[keras.callbacks.Callback]]:
    """Return the `verbose` for `fit` and the callbacks that print.

    Args:
        progress: `"auto"` is a bar on a terminal, else lines.
        stage: 1 or 2, shown in a line.

    Raises:
        ValueError: `progress` is none of the four.
    """
    if progress not in ("auto", "bar", "line", "none"):
        raise ValueError(
            f"`progress` must be 'auto', 'bar', 'line' or 'none'. Received: progress={progress!r}"
        )
    if progress == "auto":
        progress = "bar" if sys.stdout.isatty() else "line"
    return int(progress == "bar"), [EpochLines(stage)] if progress == "line" else []


class EpochLines(keras.callbacks.Callback):
    """Print one line an epoch."""

    def __init__(self, stage: int) -> None:
        super().__init__()
        self._stage = stage
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the clock."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Print."""
        total = self.params["epochs"]
        numbers = "  ".join(f"{key} {float(value):.4f}" for key, value in (logs or {}).items())
        seconds = time.perf_counter() - self._started
        print(
            f"stage {self._stage}  epoch {epoch + 1:>{len(str(total))}}/{total}  {numbers}  "
            f"{seconds:.1f} s",
            flush=True,
        )
