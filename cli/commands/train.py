"""`ccsam train`: one recipe, one seed, one run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .. import complete, early, notes
from ..errors import debug_option
from ..options import (
    Choices,
    compile_cache_option,
    deterministic_option,
    feature_cache_option,
    recipe_options,
    record_option,
    runtime_options,
    tracker_option,
)
from ..output import Output, json_option, quiet_option
from ..runtime import prepare

if TYPE_CHECKING:
    from keras_ccsam.runs import RunResult


@click.command()
@click.argument("recipe", default="ccsam", shell_complete=complete.recipes)
@recipe_options
@click.option("--seed", type=int, metavar="N", help="Of weights, batches and augmentation. [0]")
@runtime_options
@deterministic_option
@click.option("--out", metavar="DIR", help="Run directory. [runs/RECIPE-DATA-TIME]")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@tracker_option
@compile_cache_option
@feature_cache_option
@record_option
@quiet_option
@json_option
@debug_option
def command(
    recipe: str,
    backend: str | None,
    device: str | None,
    out: str | None,
    compile_cache: str,
    feature_cache: str,
    record: str,
    record_settings: tuple[str, ...],
    trackers: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **choices: Any,
) -> None:
    """Train a recipe and write a run directory.

    RECIPE is a name (ccsam recipes list) or a TOML file; without one it is ccsam. Without any
    argument at all, ccsam is trained on the embedded handwritten digits.
    """
    output, chosen = Output(as_json, quiet), Choices(**choices)
    early.check_recipes([recipe], chosen.dataset, chosen.overrides())
    early.check_trackers(trackers)
    recorded = early.record(record, record_settings)
    early.check_out(out)
    prepare(backend, device, dry=dry_run)
    with output.working():
        from keras_ccsam import recipes, runs

        resolved = recipes.load(recipe, data=chosen.dataset, overrides=chosen.overrides())
        if dry_run:
            if out is not None:
                runs.RunDirectory(out).check_free()
            planned = runs.plan(resolved)
        else:
            notes.tell(output, [resolved])
            result = runs.run(
                resolved,
                out,
                progress=output.progress,
                compile_cache=compile_cache,
                feature_cache=feature_cache,
                record=recorded,
                trackers=trackers,
            )
    if dry_run:
        output.result(planned.text, planned.to_dict)
    else:
        output.result(lambda: _text(result, quiet), lambda: _content(result))


def _text(result: RunResult, quiet: bool) -> str:
    table = result.report.table(class_names=result.results["class_names"])
    # Apart from the lines of the epochs.
    return f"{'' if quiet else chr(10)}{table}\n\nThe run is in {result.path}"


def _content(result: RunResult) -> dict[str, Any]:
    from keras_ccsam.callbacks.metrics_log import finite

    content: dict[str, Any] = finite(result.results)
    return content | {"path": str(result.path)}
