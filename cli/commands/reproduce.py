"""`ccsam reproduce`: the tables of the paper's appendix, with our numbers beside theirs."""

from __future__ import annotations

from typing import Any

import click

from ..console import say, table
from ..errors import EXIT_RUNTIME, Failure, debug_option
from ..options import (
    Choices,
    change_options,
    compile_cache_option,
    parse_seeds,
    runtime_options,
    seeds_option,
)
from ..runtime import prepare


@click.command()
@click.argument("name", required=False, metavar="[TABLE]")
@click.option(
    "--scale",
    default="small",
    show_default=True,
    metavar="tiny|small|full",
    help="The embedded digits; CIFAR scaled to a CPU; or the paper's network and schedule.",
)
@change_options
@seeds_option
@runtime_options
@click.option(
    "--out",
    metavar="DIR",
    help="Folder; the finished runs in it are kept. [runs/reproduce-SCALE]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and do nothing.")
@compile_cache_option
@debug_option
def command(
    name: str | None,
    scale: str,
    seeds: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    dry_run: bool,
    data_path: str | None,
    **choices: Any,
) -> None:
    """Train the rows of a published table and print both numbers.

    Without TABLE, list the tables and figures of the CC-SAM paper's appendix. The same command
    again goes on where it was interrupted, and tables in the same folder share their runs.
    """
    numbers = parse_seeds(seeds)
    prepare(backend, device)
    from keras_ccsam import reproduction
    from keras_ccsam.recipes import tables

    if name is None:
        found = ((name, tables.load(name)) for name in tables.names())
        rows = [(name, str(len(t.rows)), t.title, t.source) for name, t in found]
        say(table(("table", "rows", "what it shows", "published in"), rows, right=("rows",)))
        return
    overrides = Choices(**choices).overrides()
    plan = reproduction.plan_reproduction(
        name, scale, numbers, out, data_path=data_path, overrides=overrides
    )
    plan.check_folders()
    if plan.without_stage2:
        without = ", ".join(plan.without_stage2)
        say(f"note: stage2 settings were not applied to {without}: no second stage")
    for warning in dict.fromkeys(text for row in plan.rows for text in row.recipe.warnings()):
        say(f"warning: {warning}")
    if dry_run:
        say(plan.describe())
        return
    result = reproduction.reproduce(
        name,
        scale,
        numbers,
        out,
        data_path=data_path,
        overrides=overrides,
        compile_cache=compile_cache,
    )
    say()
    say(result.text())
    say()
    say(f"The runs are in {result.path}")
    if result.missing:
        lost = sum(len(rows) for rows in result.missing.values())
        raise Failure(
            f"{lost} of {len(result.rows)} rows are missing, see below the table; the same command "
            "trains them when the reason is gone",
            EXIT_RUNTIME,
        )
