"""`ccsam recipes`: the recipes by name, and what one of them says in full."""

from __future__ import annotations

import click

from ..console import say, table
from ..errors import debug_option
from ..runtime import prepare


@click.group()
@debug_option
def command() -> None:
    """List the recipes, or show one with every value filled in."""


@command.command(name="list")
@debug_option
def list_recipes() -> None:
    """List the recipes that come with the package."""
    prepare()
    from keras_ccsam import recipes

    rows = []
    for name in recipes.names():
        recipe = recipes.load(name)
        rows.append((name, recipe.variant, recipe.description))
    say(table(("recipe", "variant", "what it is"), rows))


@command.command(name="show")
@click.argument("recipe")
@click.option("--data", "dataset", metavar="NAME", help="The dataset it would train on.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value.")
@debug_option
def show_recipe(recipe: str, dataset: str | None, overrides: tuple[str, ...]) -> None:
    """Print RECIPE (a name or a TOML file) with every value filled in, as TOML."""
    prepare()
    from keras_ccsam import recipes

    say(recipes.load(recipe, data=dataset, overrides=overrides).to_toml().rstrip())
