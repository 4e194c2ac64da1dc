"""A run as it is handed to another process, and what comes back: plain values alone."""

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import backend
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import own_code


@dataclasses.dataclass(frozen=True)
class Job:
    """One run. Every value is one of JSON's.

    Attributes:
        recipe: TOML, every value of it.
        path: of the run's folder.
        log: the file that what the run prints is added to.
        stage1_from: the run whose first stage it takes over; None where it trains its own.
        options: of `experiment.run`, but for `progress` and `stage1_from`.
        backend: Keras'.
        deterministic: as `make_deterministic`.
        code: folders with modules that the recipe names.
        folder: the working folder, to which paths are relative.
        command: what the user typed; environment.json says it.
    """

    recipe: str
    path: str
    log: str
    stage1_from: str | None
    options: dict[str, Any]
    backend: str
    deterministic: bool
    code: list[str]
    folder: str
    command: list[str]

    @property
    def name(self) -> str:
        """Of the run: `ccsam-seed0`."""
        return Path(self.path).name

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return dataclasses.asdict(self)


def job_of(recipe: Recipe, path: Path, log: Path, stage1_from: Path | None, **options: Any) -> Job:
    """Describe a run as this process would execute it.

    Args:
        recipe: with the run's seed.
        path: of the run's folder.
        log: the file that takes what it prints.
        stage1_from: as in `experiment.run`.
        **options: of `experiment.run`, as JSON types.
    """
    return Job(
        recipe.to_toml(),
        os.fspath(path),
        os.fspath(log),
        None if stage1_from is None else os.fspath(stage1_from),
        options,
        keras.backend.backend(),
        backend.is_deterministic(),
        [str(folder) for folder in own_code.folders({"code": own_code.describe(recipe)})],
        os.getcwd(),
        list(sys.argv),
    )


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a run.

    Attributes:
        status: "complete", "failed" (its own error), "stopped" (it was asked to, and has saved) or
            "lost" (its process or its machine is gone).
        reason: one line; "" where it is complete.
        seconds: that it took.
        peak: bytes of memory that its process held at most; None where nobody knows.
    """

    status: str
    reason: str = ""
    seconds: float = 0.0
    peak: int | None = None

    @property
    def diverged(self) -> bool:
        """Whether it left the finite numbers: it would do so again."""
        return self.reason.startswith(FloatingPointError.__name__)

    @property
    def worth_another_try(self) -> bool:
        """Whether the same run may end differently elsewhere."""
        return self.status in ("stopped", "lost")
