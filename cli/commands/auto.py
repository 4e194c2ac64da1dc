"""`ccsam auto`: from a dataset to a classifier."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from .. import complete, early, launching
from ..errors import debug_option
from ..interruption import same_command, stoppable
from ..options import (
    Choices,
    compile_cache_option,
    deterministic_option,
    parse_seeds,
    read_ratio,
    runtime_options,
    seeds_option,
)
from ..output import Output, json_option, quiet_option
from ..typed import typed


@click.command()
@click.argument("data", shell_complete=complete.data)
@click.option(
    "--budget",
    default="30m",
    show_default=True,
    metavar="TIME",
    help="What everything together may take, as in 90s, 30m, 2h.",
)
@click.option(
    "--recipe",
    "recipe_names",
    multiple=True,
    metavar="RECIPE",
    shell_complete=complete.recipes,
    help="A recipe that takes part, by name or file; may be repeated. [eight of the package]",
)
@click.option(
    "--backbone",
    metavar="NAME|NAME=FILE|FILE|FOLDER|none",
    help="A network trained before: recipes that train a classifier alone on it take part, too. "
    "NAME=imagenet and hub=PRESET download it. [one in Keras' cache, for images of 32 pixels]",
)
@click.option(
    "--validation",
    type=float,
    default=0.2,
    show_default=True,
    metavar="SHARE",
    help="What is held out of each class to choose by.",
)
@seeds_option
@click.option(
    "--refit/--no-refit",
    default=True,
    show_default=True,
    help="Train the winner anew on training and validation images, or keep its last run.",
)
@click.option("--data-path", metavar="PATH", help="Local file or folder of it; else a download.")
@click.option(
    "--imbalance-ratio",
    callback=read_ratio,
    metavar="R|none",
    help="Images of the largest class over those of the smallest; none keeps every image.",
)
@click.option("--epochs", type=int, metavar="N", help="Epochs of stage 1, in full.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change any value of every recipe; may be repeated.",
)
@runtime_options
@deterministic_option
@click.option(
    "--out",
    metavar="DIR",
    help="Folder; one that was interrupted is finished. [runs/auto-DATA]",
)
@click.option(
    "--export",
    "export_format",
    metavar="keras|onnx|saved_model|litert|torch",
    help="Export the winner, too, as ccsam export does with this --format. [what to type is said]",
)
@click.option("--dry-run", is_flag=True, help="Time a few steps and say the plan; train nothing.")
@launching.launcher_options
@compile_cache_option
@quiet_option
@json_option
@debug_option
def command(
    data: str,
    budget: str,
    recipe_names: tuple[str, ...],
    backbone: str | None,
    validation: float,
    seeds: str,
    refit: bool,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    export_format: str | None,
    launcher: str | None,
    jobs: str | None,
    launcher_settings: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Choose a recipe for a dataset by a tournament, train and export it.

    DATA is a dataset (ccsam data list). All recipes are trained a little, the better half twice as
    long, until two are left; the balanced accuracy on held-out training images decides, with its
    uncertainty. The last two are trained with all seeds, the others with the first. No test image
    is looked at before the end. The same command goes on where it was
    interrupted. With --launcher the runs of a round are trained side by side.
    """
    output = Output(as_json, quiet)
    overrides = Choices(dataset=data, **choices).overrides()
    numbers = parse_seeds(seeds)
    early.check_auto(recipe_names, data, overrides, out, budget, backbone, export_format)
    launched = launching.chosen(launcher, jobs, launcher_settings)
    launched.prepare(backend, device, dry=dry_run, measures=True)
    options: dict[str, Any] = {
        "recipes": recipe_names,
        "backbone": backbone,
        "budget": budget,
        "validation_fraction": validation,
        "seeds": numbers,
        "refit": refit,
        "out": out,
        "overrides": overrides,
    }
    with output.working():
        from keras_ccsam import auto
        from keras_ccsam.callbacks.metrics_log import finite

        if dry_run:
            planned = auto.plan_auto(data, **options)
        else:
            with stoppable(same_command):
                result = auto.auto(
                    data,
                    **options,
                    progress=output.progress,
                    compile_cache=compile_cache,
                    command=typed(),
                    launcher=launched.launcher(),
                )
            winner = result.path / "winner"
            exported = export_format and str(_exported(winner, export_format))
    if dry_run:
        output.result(planned.text, planned.to_dict)
        return
    last = f"{exported}  for elsewhere" if exported else f"To deploy it: {_export_line(winner)}"
    output.result(
        lambda: ("" if quiet else "\n") + f"{result.text()}\n\n{last}",
        lambda: finite(result.to_dict() | {"export": exported}),
    )


def _export_line(winner: Path) -> str:
    return shlex.join(["ccsam", "export", str(winner), "--format", "onnx"])


def _exported(winner: Path, format_name: str) -> Path:
    """Export the winner, unless an earlier call has."""
    from keras_ccsam import deployment

    path = winner / "export" / f"model{deployment.FORMATS[format_name].suffix}"
    return path if path.exists() else deployment.export(winner, format_name, path).path
