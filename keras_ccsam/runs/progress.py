"""What a run shows while it trains: a bar on a terminal, one line per epoch elsewhere.

Both begin with the stage, `stage 1/2`: Keras' own bar begins again at "Epoch 1/3" when the second
stage does, with a lower accuracy, and reads as a failure.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_ccsam.duration import duration

KINDS = ("auto", "bar", "line", "none")

AfterEpoch = Callable[[int, int, float], float | None]
"""Takes the stage, its epochs that are done and the seconds of the last one; returns the seconds
left of everything that is to be trained, None where that is not known."""

_REDRAW_SECONDS = 0.1


class Progress:
    """What is printed of a run.

    Args:
        kind: `"bar"`, a line that is drawn over with each step and stays after the epoch;
            `"line"`, one per epoch; `"none"`; or `"auto"`: a bar on a terminal, else lines.
        label: put before each line, such as the part of a larger whole.
        after_epoch: asked for the time left after each epoch.

    Raises:
        ValueError: `kind` is none of the four.
    """

    def __init__(
        self, kind: str = "auto", *, label: str = "", after_epoch: AfterEpoch | None = None
    ) -> None:
        if kind not in KINDS:
            raise ValueError(
                f"`progress` must be 'auto', 'bar', 'line' or 'none'. Received: progress={kind!r}"
            )
        if kind == "auto":
            drawn = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
            kind = "bar" if drawn else "line"
        self.kind = kind
        self.label = label
        self.after_epoch = after_epoch
        self._drawn = False
        self._told: set[str] = set()

    @classmethod
    def of(cls, progress: "str | Progress") -> "Progress":
        """Return a progress as it is, or the one that a kind stands for."""
        return progress if isinstance(progress, Progress) else cls(progress)

    @property
    def shown(self) -> bool:
        """Whether anything is printed."""
        return self.kind != "none"

    def labelled(self, label: str) -> "Progress":
        """Return the same for a part of the run, whose lines begin with `label`."""
        return self._derived(Progress(self.kind, label=label))

    def timed(self, after_epoch: AfterEpoch) -> "Progress":
        """Return the same for one of several runs, whose time left is asked for."""
        return self._derived(Progress(self.kind, label=self.label, after_epoch=after_epoch))

    def _derived(self, part: "Progress") -> "Progress":
        part._told = self._told
        return part

    def say(self, text: str = "") -> None:
        """Print a line, unless nothing is printed."""
        self.end_line()
        if self.shown:
            print(text, flush=True)

    def note(self, text: str | None) -> None:
        """Print what a user should know, once for all parts and runs; None is nothing to tell."""
        if text and text not in self._told:
            self._told.add(text)
            self.say(f"note: {text}")

    def draw(self, text: str) -> None:
        """Print a line that the next one is drawn over."""
        print(f"\r{text}\x1b[K", end="", flush=True)
        self._drawn = True

    def end_line(self) -> None:
        """Leave the line that is drawn over as it is, and begin the next."""
        if self._drawn:
            print(flush=True)
        self._drawn = False

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        """End the line: an error must not be printed behind a bar."""
        self.end_line()

    def callbacks(self, stage: int, stages: int) -> list[keras.callbacks.Callback]:
        """Return the callbacks that print a stage; `fit` itself prints nothing beside them."""
        if self.kind == "bar":
            return [EpochBars(self, stage, stages)]
        return [EpochLines(self, stage, stages)] if self.shown else []


class EpochLines(keras.callbacks.Callback):
    """Print one line per epoch: the stage, the epoch, its metrics and its time."""

    # A state of the training has nothing of it.
    prints_only = True

    def __init__(self, progress: Progress, stage: int, stages: int) -> None:
        super().__init__()
        self._progress = progress
        self._stage, self._stages = stage, stages
        self._epoch = 0
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Start the clock."""
        self._epoch = epoch
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Print."""
        seconds = time.perf_counter() - self._started
        ask = self._progress.after_epoch
        left = ask(self._stage, epoch + 1, seconds) if ask is not None else None
        parts = [self._head(), *_metrics(logs), f"{seconds:.1f} s"]
        if left is not None:
            parts.append(f"({duration(left)} left in all)")
        self._print("  ".join(parts))

    def _print(self, line: str) -> None:
        self._progress.say(line)

    def _head(self) -> str:
        total = self.params["epochs"]
        label = f"{self._progress.label}: " if self._progress.label else ""
        return (
            f"{label}stage {self._stage}/{self._stages}  "
            f"epoch {self._epoch + 1:>{len(str(total))}}/{total}"
        )


class EpochBars(EpochLines):
    """The same on a terminal, with a bar that moves while an epoch is trained."""

    # As Keras' own bar: printing needs no training step to wait for it.
    async_safe = True

    def __init__(self, progress: Progress, stage: int, stages: int) -> None:
        super().__init__(progress, stage, stages)
        self._drawn = 0.0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Draw an empty bar: the first step of a run compiles, and takes its time."""
        super().on_epoch_begin(epoch, logs)
        self._draw(0, logs)

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:
        """Move the bar, ten times a second at most."""
        if time.perf_counter() - self._drawn >= _REDRAW_SECONDS:
            self._draw(batch + 1, logs)

    def _draw(self, done: int, logs: Mapping[str, Any] | None) -> None:
        self._drawn = time.perf_counter()
        steps = self.params.get("steps")
        parts = [self._head()]
        if steps:
            count = f"{done:>{len(str(steps))}}/{steps}"
            parts += [*_bar(done / steps, _room() - len(parts[0]) - len(count) - 4), count]
            left = self._left(done, steps)
            parts += [f"{duration(left)} left"] if left is not None else []
        self._progress.draw(_fitting([*parts, *_metrics(logs)]))

    def _left(self, done: int, steps: int) -> float | None:
        """The seconds left of the stage, at the speed of this epoch."""
        if not done:
            return None
        whole = steps * (self.params["epochs"] - self._epoch)
        return (time.perf_counter() - self._started) / done * (whole - done)

    def _print(self, line: str) -> None:
        self._progress.draw(line)
        self._progress.end_line()


def _metrics(logs: Mapping[str, Any] | None) -> list[str]:
    return [f"{key} {float(value):.4f}" for key, value in (logs or {}).items()]


def _bar(share: float, room: int) -> list[str]:
    """A bar of at most 20 characters; none where fewer than 5 are left for it."""
    width = min(20, room)
    if width < 5:
        return []
    full = round(width * share)
    try:
        "━─".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return ["#" * full + "." * (width - full)]
    return ["━" * full + "─" * (width - full)]


def _room() -> int:
    """Columns of the terminal, less one: a row that fills it wraps, and cannot be drawn over."""
    return shutil.get_terminal_size().columns - 1


def _fitting(parts: list[str]) -> str:
    """As many parts as one row of the terminal holds."""
    room = _room()
    line = parts[0]
    for part in parts[1:]:
        if len(line) + 2 + len(part) > room:
            break
        line += f"  {part}"
    return line[:room]
