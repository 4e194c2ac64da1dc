"""`ccsam recipes`: the recipes by name, and what one of them says in full."""

from __future__ import annotations

import click

from .. import complete, early
from ..errors import debug_option
from ..output import Output, json_option
from ..runtime import prepare


@click.group()
@debug_option
def command() -> None:
    """List the recipes, or show one with every value filled in."""


@command.command(name="list")
@json_option
@debug_option
def list_recipes(as_json: bool) -> None:
    """List the recipes that come with the package."""
    output = Output(as_json)
    prepare(dry=True)
    with output.working():
        from keras_ccsam import recipes
        from keras_ccsam.text_table import text_table

        found = [(name, recipes.load(name)) for name in recipes.names()]
    header = ("recipe", "variant", "what it is")
    rows = [(name, recipe.variant, recipe.description) for name, recipe in found]
    output.result(
        lambda: text_table(header, rows, left=header),
        lambda: [dict(zip(("recipe", "variant", "description"), row, strict=True)) for row in rows],
    )


@command.command(name="show", short_help="Print one with every value filled in, as TOML.")
@click.argument("recipe", shell_complete=complete.recipes)
@click.option(
    "--data",
    "dataset",
    metavar="NAME",
    shell_complete=complete.settings,
    help="The dataset it would train on.",
)
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change one value.")
@json_option
@debug_option
def show_recipe(
    recipe: str, dataset: str | None, overrides: tuple[str, ...], as_json: bool
) -> None:
    """Print RECIPE (a name or a TOML file) with every value filled in, as TOML."""
    output = Output(as_json)
    early.check_recipes([recipe], dataset, overrides)
    prepare(dry=True)
    with output.working():
        from keras_ccsam import recipes

        found = recipes.load(recipe, data=dataset, overrides=overrides)
    output.result(lambda: found.to_toml().rstrip(), found.to_dict)
