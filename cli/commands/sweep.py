"""`ccsam sweep`: one recipe at several values of one key, and which to take."""

from __future__ import annotations

from typing import Any

import click

from .. import complete, early, launching, notes
from ..errors import debug_option, fail_if_missing
from ..how_often import validate_every_option
from ..interruption import same_folder, stoppable
from ..options import (
    Choices,
    compile_cache_option,
    deterministic_option,
    parse_seeds,
    recipe_options,
    record_option,
    runtime_options,
    tracker_option,
)
from ..output import Output, json_option, quiet_option


@click.command()
@click.argument("key")
@click.option(
    "--values",
    metavar="A,B,...",
    help="Two values or more. [of radius_scale: 1e-1 to 1e-7, as in the paper's Figure 1]",
)
@click.option(
    "--recipe",
    default="ccsam",
    show_default=True,
    shell_complete=complete.recipes,
    help="Which recipe is varied: a name or a TOML file.",
)
@recipe_options
@click.option(
    "--seeds",
    default="3",
    metavar="N|A,B,...",
    show_default=True,
    help="How many seeds, from 0 on; or the seeds themselves, as in 0,7,42.",
)
@runtime_options
@deterministic_option
@click.option(
    "--out",
    metavar="DIR",
    help="Folder; the finished runs in it are kept. [runs/sweep-KEY-RECIPE-DATA]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and do nothing.")
@launching.launcher_options
@validate_every_option
@tracker_option
@compile_cache_option
@record_option
@quiet_option
@json_option
@debug_option
def command(
    key: str,
    values: str | None,
    recipe: str,
    seeds: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    record: str,
    record_settings: tuple[str, ...],
    launcher: str | None,
    jobs: str | None,
    launcher_settings: tuple[str, ...],
    validate_every: int,
    trackers: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Train a recipe at several values of one key, and recommend one.

    KEY is a recipe's key, as in stage1.method.radius_scale; radius_scale alone will do. The
    recommendation is made on a validation split cut from the training set, never on the test set.
    The same command again goes on where it was interrupted.
    """
    output, chosen = Output(as_json, quiet), Choices(**choices)
    numbers = parse_seeds(seeds)
    early.check_recipes([recipe], chosen.dataset, chosen.settings)
    early.check_trackers(trackers)
    launched = launching.chosen(launcher, jobs, launcher_settings)
    recorded = early.record(record, record_settings)
    early.check_out(out, "comparison")
    launched.prepare(backend, device, dry=dry_run)
    with output.working():
        from keras_ccsam import comparison
        from keras_ccsam.callbacks.metrics_log import finite

        arguments: dict[str, Any] = {
            "values": None if values is None else tuple(values.split(",")),
            "recipe": recipe,
            "data": chosen.dataset,
            "overrides": chosen.overrides(),
            "seeds": numbers,
            "out": out,
        }
        planned = comparison.plan_sweep(key, **arguments)
        notes.tell(output, planned.plan.recipes)
        for text in planned.notes:
            output.note(text)
        if dry_run:
            comparison.check_models(planned.plan.recipes, recorded, read=False)
        else:
            with stoppable(same_folder):
                result = comparison.sweep(
                    key,
                    **arguments,
                    progress=output.progress,
                    compile_cache=compile_cache,
                    record=recorded,
                    trackers=trackers,
                    launcher=launched.launcher(),
                    validate_every=validate_every,
                )
    if dry_run:
        output.result(planned.text, planned.to_dict)
        return
    gap = "" if quiet else "\n"
    output.result(
        lambda: f"{gap}{result.table()}\n\nThe runs are in {result.comparison.path}",
        lambda: finite(result.to_dict()) | {"path": str(result.comparison.path)},
    )
    fail_if_missing(len(result.comparison.missing))
