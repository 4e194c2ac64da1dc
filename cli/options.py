"""Options that several commands share, written once, and what they say to a recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from .runtime import BACKENDS

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Choices:
    """The options that change a recipe; None means that the recipe's own value stays.

    Attributes:
        dataset: A dataset's setting, `--data`.
        data_path: A local file or folder of it.
        imbalance_ratio: The largest class over the smallest.
        seed: Of weights, batches and augmentation.
        epochs: Of stage 1.
        settings: The `--set` options, which go last and so win.
    """

    dataset: str | None = None
    data_path: str | None = None
    imbalance_ratio: float | None = None
    seed: int | None = None
    epochs: int | None = None
    settings: tuple[str, ...] = ()

    def overrides(self) -> tuple[str, ...]:
        """The choices as `key=value` with a TOML value, as `recipes.load` wants them."""
        values = {
            # JSON's quotes and escapes are TOML's: a path of digits stays a path.
            "data.path": None if self.data_path is None else json.dumps(self.data_path),
            "data.imbalance_ratio": self.imbalance_ratio,
            "seed": self.seed,
            "stage1.epochs": self.epochs,
        }
        chosen = (f"{key}={value}" for key, value in values.items() if value is not None)
        return (*chosen, *self.settings)


def runtime_options(function: F) -> F:
    """Add `--backend` and `--device`."""
    function = click.option(
        "--device",
        metavar="cpu|gpu|gpu:N",
        help="Where to compute. Default: what the backend finds.",
    )(function)
    return click.option(
        "--backend",
        metavar="|".join(sorted(BACKENDS)),
        help="Keras backend. Default: KERAS_BACKEND, then keras.json, then what is installed.",
    )(function)


def recipe_options(function: F) -> F:
    """Add what changes a recipe: the fields of `Choices` but for the seed."""
    options = (
        click.option(
            "--data", "dataset", metavar="NAME", help="Dataset, see ccsam data list. [digits-lt]"
        ),
        click.option(
            "--data-path", metavar="PATH", help="Local file or folder of it; else a download."
        ),
        click.option(
            "--imbalance-ratio",
            type=float,
            metavar="R",
            help="Images of the largest class over those of the smallest.",
        ),
        click.option("--epochs", type=int, metavar="N", help="Epochs of stage 1."),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="Change any value of the recipe, as in stage2.epochs=10; may be repeated.",
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function
