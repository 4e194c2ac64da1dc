"""Options that say how often something is done while a run trains."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def save_every_option(function: F) -> F:
    """Add `--save-every`."""
    return click.option(
        "--save-every",
        default="5 min",
        show_default=True,
        metavar="TIME|STEPS|epoch",
        help="How often the state is saved, to go on from with --resume.",
    )(function)


def validate_every_option(function: F) -> F:
    """Add `--validate-every`."""
    return click.option(
        "--validate-every",
        type=click.IntRange(0),
        default=1,
        show_default=True,
        metavar="N",
        help="Epochs of stage 1 from one evaluation of the validation split to the next, if the "
        "recipe cuts one; 0: at the end of the run alone, which is faster. It changes no weight.",
    )(function)
