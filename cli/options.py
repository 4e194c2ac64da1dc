"""Options that several commands share, written once, and what they say to a recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from . import complete, light
from .count import Count
from .runtime import BACKENDS, DETERMINISTIC

# As many as the library takes; a test compares them.
MAX_SEEDS = 1000

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Choices:
    """The options that change a recipe; None means that the recipe's own value stays.

    Attributes:
        dataset: A dataset's setting, `--data`.
        data_path: A local file or folder of it.
        imbalance_ratio: The largest class over the smallest, or "none".
        seed: Of weights, batches and augmentation.
        epochs: Of stage 1.
        settings: The `--set` options, which go last and so win.
        protocol: Of the CC-SAM paper, which chooses between two settings of a dataset.
    """

    dataset: str | None = None
    data_path: str | None = None
    imbalance_ratio: float | str | None = None
    seed: int | None = None
    epochs: int | None = None
    settings: tuple[str, ...] = ()
    protocol: str | None = None

    def __post_init__(self) -> None:
        if self.protocol is not None:
            chosen = light.library("recipes.known").with_protocol(self.dataset, self.protocol)
            object.__setattr__(self, "dataset", chosen)

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


def read_ratio(_: click.Context, __: click.Parameter, text: str | None) -> float | str | None:
    """Read an imbalance ratio: a number, or `none`. One below 1 is refused with the recipe."""
    if text is None or text == "none":
        return text
    try:
        return float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor none.") from None


def read_temperature(_: click.Context, __: click.Parameter, text: str) -> float | str:
    """Read a temperature: a number, or `auto`."""
    if text == "auto":
        return text
    try:
        number = float(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is neither a number nor auto.") from None
    if not 0 < number < math.inf:
        raise click.BadParameter(f"it must be a number above 0, or auto. Received: {text}")
    return number


def runtime_options(function: F) -> F:
    """Add `--backend` and `--device`."""
    function = click.option(
        "--device",
        metavar="cpu|gpu|gpu:N",
        shell_complete=complete.devices,
        help="Where to compute. Default: what the backend finds.",
    )(function)
    return click.option(
        "--backend",
        metavar="|".join(sorted(BACKENDS)),
        shell_complete=complete.backends,
        help="Keras backend. Default: KERAS_BACKEND, then keras.json, then what is installed.",
    )(function)


def devices_option(function: F) -> F:
    """Add `--devices`."""
    return click.option(
        "--devices",
        "device_count",
        type=Count(),
        metavar="N",
        help="Train on N devices of this machine, as on one. Under torchrun, srun or mpirun leave "
        "it out: their processes are joined. [1]",
    )(function)


def data_on_option(function: F) -> F:
    """Add `--data-on`."""
    return click.option(
        "--data-on",
        type=click.Choice(["auto", "device", "host"]),
        default="auto",
        show_default=True,
        help="Where training images lie. On the device the step itself cuts and mixes them; auto: "
        "on an accelerator of whose memory they take a quarter at most.",
    )(function)


def deterministic_option(function: F) -> F:
    """Add `--deterministic`, which `prepare` heeds."""

    def remember(context: click.Context, _: click.Parameter, value: bool) -> None:
        context.meta[DETERMINISTIC] = value

    return click.option(
        "--deterministic",
        is_flag=True,
        expose_value=False,
        callback=remember,
        help="The same bits in each run on this machine; slower on a GPU.",
    )(function)


def protocol_option(function: F) -> F:
    """Add `--protocol`."""
    return click.option(
        "--protocol",
        metavar="ablation|main",
        shell_complete=complete.paper_protocols,
        help="Of the CC-SAM paper, on CIFAR: mixup, or AutoAugment and Cutout in its place.",
    )(function)


def recipe_options(function: F) -> F:
    """Add what changes a recipe: the fields of `Choices` but for the seed."""
    return _apply(
        function,
        click.option(
            "--data",
            "dataset",
            metavar="NAME|PATH",
            shell_complete=complete.data,
            help="Dataset, see ccsam data list; or images of your own: a folder with one folder "
            "per class, a list, a table, JSON or arrays. [digits-lt]",
        ),
        _DATA_PATH,
        click.option(
            "--imbalance-ratio",
            callback=read_ratio,
            metavar="R|none",
            help="Images of the largest class over those of the smallest; none keeps every image.",
        ),
        protocol_option,
        _EPOCHS,
        _SETTINGS,
    )


def change_options(function: F) -> F:
    """Add what changes recipes whose data is settled: `recipe_options` without name and ratio."""
    return _apply(function, _DATA_PATH, _EPOCHS, _SETTINGS)


def compile_cache_option(function: F) -> F:
    """Add `--compile-cache`, as `runs.run` wants it."""
    return click.option(
        "--compile-cache",
        default="auto",
        envvar="CCSAM_COMPILE_CACHE",
        show_envvar=True,
        metavar="DIR|off",
        help="Where JAX keeps compiled programs for the next run; off leaves JAX as it is. "
        "[JAX_COMPILATION_CACHE_DIR, else .jax-cache beside the output folder]",
    )(function)


def feature_cache_option(function: F) -> F:
    """Add `--feature-cache`, as `runs.run` wants it."""
    return click.option(
        "--feature-cache",
        default="auto",
        envvar="CCSAM_FEATURE_CACHE",
        show_envvar=True,
        metavar="DIR|off",
        help="Where features of a frozen backbone are kept for other runs; off keeps none. "
        "[.feature-cache beside the output folder]",
    )(function)


def trust_code_option(function: F) -> F:
    """Add `--trust-code`, of commands that open finished runs."""
    return click.option(
        "--trust-code",
        is_flag=True,
        help="Import, and so run, what a run's recipe names from outside the package.",
    )(function)


def moved_data_option(function: F) -> F:
    """Add `--data`, of commands that look at the images that a run was trained on."""
    return click.option(
        "--data",
        metavar="PATH",
        help="Where the run's images lie now, if they have been moved.",
    )(function)


def record_option(function: F) -> F:
    """Add `--record` and `--record-set`, for `early.record` to read."""
    function = click.option(
        "--record-set",
        "record_settings",
        multiple=True,
        metavar="NAME.KEY=VALUE",
        help="An option of what is recorded: bound.class, bound.weights, bound.delta, "
        "radius.weights, radius.limit; may be repeated.",
    )(function)
    return click.option(
        "--record",
        default="",
        metavar="NAME,...",
        shell_complete=complete.records,
        help="Record after each epoch of stage 1, into the run's folder analysis: bound, "
        "radius, trajectory. It changes no number.",
    )(function)


def tracker_option(function: F) -> F:
    """Add `--tracker`, as `runs.run` wants its names."""
    return click.option(
        "--tracker",
        "trackers",
        multiple=True,
        metavar="NAME",
        shell_complete=complete.trackers,
        help="Tell tensorboard, wandb, mlflow or trackio of the training; may be repeated.",
    )(function)


def seeds_option(function: F) -> F:
    """Add `--seeds`, for `parse_seeds` to read."""
    return click.option(
        "--seeds",
        default="1",
        metavar="N|A,B,...",
        show_default=True,
        help="How many seeds, from 0 on; or the seeds themselves, as in 0,7,42.",
    )(function)


def parse_seeds(text: str) -> int | tuple[int, ...]:
    """Read `--seeds`: `3` is how many, `0,7,42` are the seeds.

    Raises:
        ValueError: It is neither, there is none, or one comes twice.
    """
    parts = [part.strip() for part in text.split(",")]
    # Ten digits are enough for every seed that NumPy takes; int() refuses thousands of them.
    usable = all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts)
    numbers = [int(part) for part in parts] if usable else []
    if len(numbers) == 1:
        usable = 1 <= numbers[0] <= MAX_SEEDS
    if not usable or len(set(numbers)) < len(numbers):
        raise ValueError(
            f"--seeds must be how many seeds, at least 1 and at most {MAX_SEEDS}, or different "
            f"seeds separated by commas, as in 0,7,42. Received: --seeds={text}"
        )
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


_DATA_PATH = click.option(
    "--data-path", metavar="PATH", help="Local file or folder of it; else a download."
)
_EPOCHS = click.option("--epochs", type=int, metavar="N", help="Epochs of stage 1.")
_SETTINGS = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change any value of the recipe, as in stage2.epochs=10; may be repeated.",
)


def _apply(function: F, *options: Callable[[F], F]) -> F:
    for option in reversed(options):
        function = option(function)
    return function
