"""`ccsam compare`: several recipes, several seeds, one table."""

from __future__ import annotations

from typing import Any

import click

from ..console import say
from ..errors import debug_option
from ..options import Choices, recipe_options, runtime_options
from ..runtime import prepare


@click.command()
@click.argument("recipe_names", nargs=-1, required=True, metavar="RECIPE...")
@recipe_options
@click.option(
    "--seeds",
    default="1",
    metavar="N|A,B,...",
    show_default=True,
    help="How many seeds, from 0 on; or the seeds themselves, as in 0,7,42.",
)
@runtime_options
@click.option(
    "--out",
    metavar="DIR",
    help="Folder of the comparison; one that was interrupted is finished. [runs/compare-DATA-TIME]",
)
@debug_option
def command(
    recipe_names: tuple[str, ...],
    seeds: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    **choices: Any,
) -> None:
    """Train several recipes over several seeds and print one table.

    Each RECIPE is a name (ccsam recipes list) or a TOML file; the options hold for all of them,
    those of stage2 for the recipes that have a second stage.
    Accuracies are means over the seeds, with the standard deviation.
    """
    numbers = parse_seeds(seeds)
    prepare(backend, device)
    from keras_ccsam import recipes, runs

    chosen = Choices(**choices)
    resolved, without = recipes.load_several(
        recipe_names, data=chosen.dataset, overrides=chosen.overrides()
    )
    if without:
        say(f"note: stage2 settings were not applied to {', '.join(without)}: no second stage")
    for warning in dict.fromkeys(text for recipe in resolved for text in recipe.warnings()):
        say(f"warning: {warning}")
    comparison = runs.compare(resolved, numbers, out)
    say()
    say(comparison.table())
    say()
    say(f"The runs are in {comparison.path}")


def parse_seeds(text: str) -> int | tuple[int, ...]:
    """Read `--seeds`: `3` is how many, `0,7,42` are the seeds.

    Raises:
        ValueError: It is neither, there is none, or one comes twice.
    """
    parts = [part.strip() for part in text.split(",")]
    usable = all(part.isdecimal() for part in parts) and len(set(map(int, parts))) == len(parts)
    if not usable or parts == ["0"]:
        raise ValueError(
            "--seeds must be how many seeds, at least 1, or different seeds separated by commas, "
            f"as in 0,7,42. Received: --seeds={text}"
        )
    return int(parts[0]) if len(parts) == 1 else tuple(map(int, parts))
