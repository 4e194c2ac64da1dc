"""`ccsam train`: one recipe, one seed, one run directory."""

from __future__ import annotations

from typing import Any

import click

from ..console import say
from ..errors import debug_option
from ..options import Choices, compile_cache_option, recipe_options, runtime_options
from ..runtime import prepare


@click.command()
@click.argument("recipe", default="ccsam")
@recipe_options
@click.option("--seed", type=int, metavar="N", help="Of weights, batches and augmentation. [0]")
@runtime_options
@click.option("--out", metavar="DIR", help="Run directory. [runs/RECIPE-DATA-TIME]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@compile_cache_option
@debug_option
def command(
    recipe: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    dry_run: bool,
    **choices: Any,
) -> None:
    """Train a recipe and write a run directory.

    RECIPE is a name (ccsam recipes list) or a TOML file; without one it is ccsam. Without any
    argument at all, ccsam is trained on the embedded handwritten digits.
    """
    prepare(backend, device)
    from keras_ccsam import recipes, runs

    chosen = Choices(**choices)
    resolved = recipes.load(recipe, data=chosen.dataset, overrides=chosen.overrides())
    if dry_run:
        if out is not None:
            runs.RunDirectory(out).check_free()
        say(runs.plan(resolved))
        return
    for warning in resolved.warnings():
        say(f"warning: {warning}")
    result = runs.run(resolved, out, compile_cache=compile_cache)
    say()
    say(result.report.table(class_names=result.results["class_names"]))
    say()
    say(f"The run is in {result.path}")
