"""`ccsam landscape`: the loss around trained networks, in numbers and pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .. import early_runs, numbers
from ..count import Count
from ..errors import debug_option
from ..options import moved_data_option, runtime_options, trust_code_option
from ..output import Output, json_option, quiet_option
from ..runtime import prepare

if TYPE_CHECKING:
    from keras_ccsam.analysis.landscapes import Landscape
    from keras_ccsam.analysis.landscapes.cost import Standing
    from keras_ccsam.runs import RunLandscapes


@click.command()
@click.argument("run_dirs", metavar="RUN...", nargs=-1, required=True)
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Which part of the runs' own data.",
)
@click.option(
    "--of",
    type=click.Choice(["final", "stage1"]),
    default="final",
    show_default=True,
    help="The trained network, or the one that stage 1 left.",
)
@click.option(
    "--points",
    type=numbers.ODD,
    default=25,
    show_default=True,
    metavar="P",
    help="Points along each direction, an odd number.",
)
@click.option(
    "--span",
    type=numbers.ABOVE_0,
    metavar="S",
    help="Largest step, in norms of the weights. [0.333; with --trajectory what holds it]",
)
@click.option(
    "--directions",
    type=click.Choice(["filter", "layer", "none", "uniform"]),
    default="filter",
    show_default=True,
    help="How random directions are scaled to the weights; uniform is the paper's.",
)
@click.option("--one-dimensional", is_flag=True, help="Lines in place of a plane.")
@click.option(
    "--lines",
    type=Count(),
    default=10,
    show_default=True,
    metavar="N",
    help="How many, with --one-dimensional.",
)
@click.option(
    "--trajectory",
    is_flag=True,
    help="The plane of the path of stage 1, of a run trained with --record trajectory.",
)
@click.option(
    "--limit", type=Count(), metavar="N", help="About so many samples, some of each class."
)
@click.option(
    "--seed",
    type=numbers.WHOLE,
    default=0,
    show_default=True,
    metavar="N",
    help="Of the directions.",
)
@click.option(
    "--batch-norm",
    type=click.Choice(["as-trained", "reestimated"]),
    default="as-trained",
    show_default=True,
    help="BatchNorm's statistics: those of the model, or those of each point.",
)
@click.option("--out", metavar="DIR", help="Folder of all files. [analysis in each run]")
@click.option("--overwrite", is_flag=True, help="Write over landscapes of other options.")
@click.option("--dry-run", is_flag=True, help="Time one point, and say how long it would take.")
@moved_data_option
@trust_code_option
@runtime_options
@quiet_option
@json_option
@debug_option
def command(
    run_dirs: tuple[str, ...],
    one_dimensional: bool,
    batch_norm: str,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    backend: str | None,
    device: str | None,
    **options: Any,
) -> None:
    """Draw the loss around trained networks, over all, head and tail classes.

    RUN... are run directories of ccsam train or compare. Several share directions and scale.
    Interrupted, the same command goes on where it was.
    """
    output = Output(as_json, quiet)
    for run in run_dirs:
        early_runs.check_run(run)
    early_runs.check_moved(options["data"])
    prepare(backend, device)
    with output.working():
        from keras_ccsam import runs

        planned = runs.PlannedLandscapes(
            run_dirs,
            dimensions=1 if one_dimensional else 2,
            batch_norm=batch_norm.replace("-", "_"),
            **options,
        )
        if dry_run:
            costs = planned.costs()
        else:
            made = planned.compute(output.progress)
    if dry_run:
        output.result(lambda: _cost_text(costs), lambda: _cost_content(costs))
    else:
        output.result(lambda: _text(made, quiet), lambda: _content(made))


def _cost_text(costs: dict[str, Standing]) -> str:
    from keras_ccsam.duration import duration
    from keras_ccsam.text_table import text_table

    rows = [
        (name, str(cost.total), str(cost.samples), duration(cost.seconds_left))
        for name, cost in costs.items()
    ]
    total = duration(sum(cost.seconds_left for cost in costs.values()))
    table = text_table(("run", "points", "samples", "about"), rows, left=("run",))
    return f"{table}\n\nAll together about {total}, by one point that was timed."


def _cost_content(costs: dict[str, Standing]) -> dict[str, Any]:
    return {
        name: {"points": cost.total, "samples": cost.samples, "seconds": cost.seconds_left}
        for name, cost in costs.items()
    }


def _text(made: RunLandscapes, quiet: bool) -> str:
    parts = [_table(name, found) for name, found in made.found.items()]
    parts.append(
        "doubles at: how far the loss takes to double, in norms of the weights (least to most over "
        "the\nrays; > where some ray ends before). asymmetry: 0 alike on both sides, 1 one-sided."
    )
    files = [*made.files.values(), *made.pictures.values()]
    parts.append("\n".join(f"written: {file}" for file in files))
    return ("" if quiet else "\n") + "\n\n".join(parts)


def _table(name: str, found: Landscape) -> str:
    from keras_ccsam.text_table import text_table

    rows = []
    for group, what in found.shown_groups().items():
        loss, accuracy = found.at_model(group)
        walk, lopsided = found.doubling(group), found.asymmetry(group)
        more = "> " if walk.open else ""
        rows.append(
            (
                group,
                what,
                f"{loss:.4f}",
                f"{100 * accuracy:.2f}",
                f"{more}{walk.mean:.3f} ({walk.min:.3f} to {walk.max:.3f})",
                f"{lopsided.mean:.2f}",
            )
        )
    header = (name, "", "loss", "accuracy", "doubles at", "asymmetry")
    return text_table(header, rows, left=header[:2])


def _content(made: RunLandscapes) -> dict[str, Any]:
    from keras_ccsam.callbacks.metrics_log import finite

    content: dict[str, Any] = finite(
        {
            name: found.to_dict()
            | {"file": str(made.files[name]), "picture": str(made.pictures[name])}
            for name, found in made.found.items()
        }
    )
    together = made.pictures.get("all")
    return {"runs": content, "picture": None if together is None else str(together)}
