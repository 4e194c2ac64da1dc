"""`ccsam report`: one HTML file on finished runs."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from .. import early_runs
from ..errors import debug_option
from ..options import moved_data_option, runtime_options
from ..output import Output, json_option, quiet_option
from ..runtime import prepare


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN...")
@click.option(
    "-o",
    "--out",
    metavar="FILE",
    help="The file. [report.html in the folder, or here where several are named]",
)
@click.option("--title", metavar="TEXT", help="The heading. [the data]")
@click.option(
    "--surface", is_flag=True, help="Landscapes as surfaces to turn, too: a file of some megabytes."
)
@click.option(
    "--projection",
    type=click.Choice(["pca", "tsne"]),
    default="pca",
    show_default=True,
    help="How features are drawn in the plane, where a run is predicted for the first time.",
)
@click.option(
    "--no-predictions",
    is_flag=True,
    help="Predict nothing: without calibration and representation of runs not predicted yet.",
)
@click.option(
    "--trust-code",
    is_flag=True,
    help="Import, and so run, what the runs' recipes name from outside the package.",
)
@moved_data_option
@quiet_option
@json_option
@runtime_options
@debug_option
def command(
    runs: tuple[str, ...],
    out: str | None,
    title: str | None,
    surface: bool,
    projection: Any,
    no_predictions: bool,
    trust_code: bool,
    data: str | None,
    quiet: bool,
    as_json: bool,
    backend: str | None,
    device: str | None,
) -> None:
    """Write one HTML file on finished runs.

    Each RUN is a run directory, or a folder of runs: a comparison's or a reproduction's. The file
    opens without a network. It has accuracy per class, curves, calibration, confusion,
    landscapes and whatever else was looked at, with the spread over seeds and what follows from it.
    """
    output = Output(as_json, quiet)
    early_runs.check_report(runs, out, surface)
    early_runs.check_moved(data)
    prepare(backend, device)
    with output.working():
        from keras_ccsam import reporting

        path = reporting.report(
            runs,
            out,
            title=title,
            surface=surface,
            predictions=not no_predictions,
            projection=projection,
            data=data,
            trust_code=trust_code,
            command=_typed(runs, out, title, surface, data),
            say=output.note,
        )
    size = path.stat().st_size
    output.result(
        lambda: f"The report is in {path} ({size / 1000:,.0f} kB)",
        lambda: {"path": str(path), "bytes": size},
    )


def _typed(
    runs: tuple[str, ...], out: str | None, title: str | None, surface: bool, data: str | None
) -> str:
    """The command as it may be typed again."""
    words = ["ccsam", "report", *runs]
    words += ["--out", str(Path(out))] if out else []
    words += ["--title", title] if title else []
    words += ["--data", data] if data else []
    return shlex.join([*words, *(["--surface"] if surface else [])])
