"""The `ccsam` command: a group that imports a sub-command only when it is called.

`ccsam --help` must answer in under 0.3 s, and importing Keras takes seconds. So the names and the
one-line helps of the commands stand here as text, and nothing is imported to print them.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from . import light
from .console import forgiving
from .errors import ReportingGroup, debug_option

# Name -> what it does. The command is `commands/<name>.py`'s `command`; a test checks that both
# descriptions are the same.
COMMANDS = {
    "train": "Train a recipe and write a run directory.",
    "auto": "Choose a recipe for a dataset by a tournament, train and export it.",
    "watch": "Show how runs go on: stages, losses, accuracy and the time left.",
    "evaluate": "Evaluate a trained run on its test set, or on images of your own.",
    "export": "Write a trained network as Keras, ONNX, SavedModel, LiteRT or torch.export.",
    "predict": "Classify images with a trained network: files, folders, standard input.",
    "landscape": "Draw the loss around trained networks, over all, head and tail classes.",
    "compare": "Train several recipes over several seeds and print one table.",
    "report": "Write one HTML file on finished runs.",
    "reproduce": "Train the rows of a published table and print both numbers.",
    "sweep": "Train a recipe at several values of one key, and recommend one.",
    "sharpness": "Measure how sharp the loss of trained runs is, and compare them.",
    "bound": "Draw Theorem 1's bound beside a run's losses.",
    "data": "List the datasets, or look at one, verify its images or pack them.",
    "recipes": "List the recipes, or show one with every value filled in.",
    "doctor": "Show what is installed, and which backend and device would be used.",
}


class LazyGroup(ReportingGroup):
    """A group whose commands are the modules named in `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command, or None if there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f".commands.{cmd_name}", __package__)
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command named first on the line; a misspelt one is told its neighbour."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            close = light.library("hints").closest(args[0], COMMANDS)
            hint = f"Did you mean {close!r}?" if close else f"Choose from {', '.join(COMMANDS)}."
            raise click.UsageError(f"There is no command {args[0]!r}. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _print_version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from .runtime import version_line

        click.echo(version_line())
        context.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Show the versions and exit.",
)
@debug_option
@click.pass_context
def cli(context: click.Context) -> None:
    """Train image classifiers on long-tailed data with CC-SAM and its baselines.

    Start with `ccsam train`: it needs no arguments and no download.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(**options: Any) -> None:
    """The console script."""
    forgiving(sys.stdout, sys.stderr)
    cli(prog_name="ccsam", **options)
