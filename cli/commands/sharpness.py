"""`ccsam sharpness`: how sharp the loss of trained runs is, per class and group."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import early_runs, numbers
from ..count import Count
from ..errors import debug_option
from ..options import moved_data_option, runtime_options, trust_code_option
from ..output import Output, json_option, quiet_option
from ..runtime import prepare

if TYPE_CHECKING:
    from keras_ccsam.data.batches.labelled_parts import Split


@click.command()
@click.argument("run_dirs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="train",
    show_default=True,
    help="Which part of the run's own data.",
)
@click.option(
    "--limit",
    type=Count(),
    metavar="N",
    help="Samples to take, spread evenly over the classes; means stay those of the whole part. "
    "[all]",
)
@click.option("--rho", type=numbers.ABOVE_0, default=0.05, show_default=True, help="SAM's radius.")
@click.option(
    "--radius-scale",
    type=numbers.ABOVE_0,
    metavar="R",
    help="r of CC-SAM's radius. [the first run's own, or 0.01]",
)
@click.option(
    "--weights",
    default="all",
    show_default=True,
    metavar="all|head|PATTERN",
    help="Which weights are moved; a pattern is searched in their paths.",
)
@click.option(
    "--hessian",
    type=click.Choice(["groups", "all", "none"]),
    default="groups",
    show_default=True,
    help="Of which sets the Hessian is asked; all: of every class too.",
)
@click.option(
    "--eigenvalues",
    type=numbers.WHOLE,
    default=3,
    show_default=True,
    metavar="M",
    help="How many at each end of the spectrum.",
)
@click.option(
    "--probes",
    type=numbers.WHOLE,
    default=10,
    show_default=True,
    metavar="N",
    help="Random vectors of the trace and of the density.",
)
@click.option("--density", is_flag=True, help="Compute the spectral density, too.")
@click.option(
    "--seed", type=numbers.WHOLE, default=0, show_default=True, help="Of samples and vectors."
)
@click.option("--plot", metavar="FILE", help="Draw all runs in one PNG.")
@moved_data_option
@trust_code_option
@runtime_options
@quiet_option
@json_option
@debug_option
def command(
    run_dirs: tuple[str, ...],
    split: Split,
    radius_scale: float | None,
    plot: str | None,
    data: str | None,
    trust_code: bool,
    backend: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how sharp the loss of trained runs is, and compare them.

    RUN is a run directory of ccsam train. For the whole set, the head and the tail class, many,
    medium and few, and every class: how far the loss rises one step away, at SAM's radius and at
    CC-SAM's, and the ends and the trace of the Hessian. Writes analysis/sharpness.json and .png
    into each run.
    """
    output = Output(as_json, quiet)
    for run in run_dirs:
        early_runs.check_run(run)
    if len(set(run_dirs)) < len(run_dirs):
        raise ValueError(f"each run must be named once. Received: RUN={list(run_dirs)}")
    if plot is not None and not _drawable(Path(plot)):
        raise ValueError(f"--plot must be a .png in a folder that exists. Received: --plot={plot}")
    early_runs.check_moved(data)
    prepare(backend, device)
    with output.working():
        from keras_ccsam import runs
        from keras_ccsam.analysis.sharpness import sharpness_table
        from keras_ccsam.callbacks.metrics_log import finite
        from keras_ccsam.runs import run_sharpness as of_runs

        opened = {run: runs.open_run(run, data=data, trust_code=trust_code) for run in run_dirs}
        first = opened[run_dirs[0]]
        for run, each in opened.items():
            if each.images.class_names != first.images.class_names:
                raise ValueError(
                    "runs can be compared on the same classes only. "
                    f"Received: {run_dirs[0]} of {first.recipe.data.name}, {run} of "
                    f"{each.recipe.data.name}"
                )
        scale = of_runs.trained_radius_scale(first.recipe) if radius_scale is None else radius_scale
        measured, unkept = {}, None
        for run, each in opened.items():
            say = None if quiet else _progress(run)
            found = of_runs.measured(each, split=split, radius_scale=scale, say=say, **options)
            measured[run] = found
            if (each.directory.analysis / "sharpness.json").exists():
                output.note(f"{run}: an earlier measurement is replaced")
            try:
                of_runs.keep(each, split, found)
            except OSError as error:  # the numbers are printed all the same
                unkept = error
        if plot is not None:
            of_runs.draw_sharpness({run: m.to_dict() for run, m in measured.items()}, Path(plot))
    where = ", ".join(str(each.directory.analysis) for each in opened.values())
    output.result(
        lambda: (
            f"{'' if quiet else chr(10)}{sharpness_table(measured)}\n\n{_caption(measured)}"
            + (f"\nWritten into {where}" if unkept is None else "")
        ),
        lambda: finite({"runs": {run: m.to_dict() for run, m in measured.items()}}),
    )
    if unkept is not None:
        raise unkept


def _drawable(path: Path) -> bool:
    return path.suffix == ".png" and path.absolute().parent.is_dir()


def _progress(run: str) -> Any:
    return lambda text: click.echo(f"{run}  {text}")


def _caption(measured: dict[str, Any]) -> str:
    settings = next(iter(measured.values())).settings
    text = (
        f"gap: how far the mean cross-entropy rises one step along its gradient, of length rho or "
        f"r sqrt(k) rho*. w: {settings['weights_count']:,} weights ({settings['weights']}). "
        f"{settings['samples']:,} of {settings['samples_in_set']:,} samples."
    )
    if settings["hessian"] != "none":
        text += (
            " largest, smallest: eigenvalues of the Hessian; a saddle has a negative one beyond "
            "what rounding does. trace: with its standard error."
        )
    return text
