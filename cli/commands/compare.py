"""`ccsam compare`: several recipes, several seeds, one table."""

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
    feature_cache_option,
    parse_seeds,
    recipe_options,
    record_option,
    runtime_options,
    seeds_option,
    tracker_option,
)
from ..output import Output, json_option, quiet_option


@click.command()
@click.argument(
    "recipe_names", nargs=-1, required=True, metavar="RECIPE...", shell_complete=complete.recipes
)
@recipe_options
@seeds_option
@runtime_options
@deterministic_option
@click.option(
    "--out",
    metavar="DIR",
    help="Folder of the comparison; one that was interrupted is finished. [runs/compare-DATA-TIME]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and do nothing.")
@launching.launcher_options
@validate_every_option
@tracker_option
@compile_cache_option
@feature_cache_option
@record_option
@quiet_option
@json_option
@debug_option
def command(
    recipe_names: tuple[str, ...],
    seeds: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    feature_cache: str,
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
    """Train several recipes over several seeds and print one table.

    Each RECIPE is a name (ccsam recipes list) or a TOML file; the options hold for all of them,
    those of stage2 for the recipes that have a second stage.
    Accuracies are means over the seeds, with the standard deviation. Recipes whose first stage is
    the same train it once and share it. With the same --out, finished runs are kept, and one that
    was interrupted goes on. With --launcher several runs are trained at a time; one that fails
    leaves the others alone, and ccsam watch shows them all.
    """
    output, chosen = Output(as_json, quiet), Choices(**choices)
    numbers = parse_seeds(seeds)
    early.check_recipes(recipe_names, chosen.dataset, chosen.overrides())
    early.check_trackers(trackers)
    launched = launching.chosen(launcher, jobs, launcher_settings)
    recorded = early.record(record, record_settings)
    early.check_out(out, "comparison")
    if out is None:
        early.check_room()
    launched.prepare(backend, device, dry=dry_run)
    with output.working():
        from keras_ccsam import comparison, recipes
        from keras_ccsam.callbacks.metrics_log import finite

        resolved, without = recipes.load_several(
            recipe_names, data=chosen.dataset, overrides=chosen.overrides()
        )
        if dry_run:
            planned = comparison.plan_comparison(resolved, numbers, out)
            comparison.check_models(resolved, recorded, read=False)
        notes.tell(output, resolved, without)
        if not dry_run:
            with stoppable(same_folder):
                result = comparison.compare(
                    resolved,
                    numbers,
                    out,
                    progress=output.progress,
                    compile_cache=compile_cache,
                    feature_cache=feature_cache,
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
        lambda: f"{gap}{result.table()}\n\nThe runs are in {result.path}",
        lambda: finite(result.to_dict()) | {"path": str(result.path)},
    )
    fail_if_missing(len(result.missing))
