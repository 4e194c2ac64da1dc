"""`ccsam compare`: several recipes, several seeds, one table."""

from __future__ import annotations

from typing import Any

import click

from ..console import say
from ..errors import debug_option
from ..options import (
    Choices,
    compile_cache_option,
    parse_seeds,
    recipe_options,
    runtime_options,
    seeds_option,
)
from ..runtime import prepare


@click.command()
@click.argument("recipe_names", nargs=-1, required=True, metavar="RECIPE...")
@recipe_options
@seeds_option
@runtime_options
@click.option(
    "--out",
    metavar="DIR",
    help="Folder of the comparison; one that was interrupted is finished. [runs/compare-DATA-TIME]",
)
@compile_cache_option
@debug_option
def command(
    recipe_names: tuple[str, ...],
    seeds: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    **choices: Any,
) -> None:
    """Train several recipes over several seeds and print one table.

    Each RECIPE is a name (ccsam recipes list) or a TOML file; the options hold for all of them,
    those of stage2 for the recipes that have a second stage.
    Accuracies are means over the seeds, with the standard deviation.
    """
    numbers = parse_seeds(seeds)
    prepare(backend, device)
    from keras_ccsam import comparison, recipes

    chosen = Choices(**choices)
    resolved, without = recipes.load_several(
        recipe_names, data=chosen.dataset, overrides=chosen.overrides()
    )
    if without:
        say(f"note: stage2 settings were not applied to {', '.join(without)}: no second stage")
    for warning in dict.fromkeys(text for recipe in resolved for text in recipe.warnings()):
        say(f"warning: {warning}")
    result = comparison.compare(resolved, numbers, out, compile_cache=compile_cache)
    say()
    say(result.table())
    say()
    say(f"The runs are in {result.path}")
