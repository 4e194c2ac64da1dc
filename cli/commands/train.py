"""`ccsam train`: one recipe, one seed, one run directory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from .. import complete, devices, early, early_runs, notes
from ..errors import debug_option
from ..how_often import save_every_option, validate_every_option
from ..interruption import resume_command, stoppable
from ..options import (
    Choices,
    compile_cache_option,
    data_on_option,
    deterministic_option,
    devices_option,
    feature_cache_option,
    recipe_options,
    record_option,
    runtime_options,
    tracker_option,
    trust_code_option,
)
from ..output import Output, json_option, quiet_option
from ..runtime import DETERMINISTIC, prepare

if TYPE_CHECKING:
    from keras_ccsam.runs import RunResult

# What may be said to a run that goes on: nothing that can change a number.
_OF_RESUME = {
    "resume",
    "backend",
    "device",
    "device_count",
    "compile_cache",
    "feature_cache",
    "save_every",
}
_OF_RESUME |= {"trust_code", "quiet", "as_json"}


@click.command()
@click.argument("recipe", default="ccsam", shell_complete=complete.recipes)
@recipe_options
@click.option("--seed", type=int, metavar="N", help="Of weights, batches and augmentation. [0]")
@runtime_options
@devices_option
@data_on_option
@deterministic_option
@click.option("--out", metavar="DIR", help="Run directory. [runs/RECIPE-DATA-TIME]")
@click.option(
    "--resume",
    metavar="RUN",
    help="Go on with a run that was interrupted; what it was begun with, it remembers.",
)
@save_every_option
@validate_every_option
@trust_code_option
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
    device_count: int | None,
    data_on: Literal["auto", "device", "host"],
    out: str | None,
    resume: str | None,
    save_every: str,
    validate_every: int,
    trust_code: bool,
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

    Ctrl-C, SIGTERM and SIGHUP save what is done and end with exit code 75; ccsam train --resume RUN
    goes on, and ends with the same numbers as without the interruption.
    """
    output, chosen = Output(as_json, quiet), Choices(**choices)
    interval = early.interval(save_every)
    if resume is not None:
        _refuse_others()
        backend, deterministic = early_runs.begun_with(resume, backend)
        if early_runs.is_complete(resume):  # whoever starts it again and again is done
            told = f"The run is complete: {resume}"
            output.result(lambda: told, lambda: {"path": resume, "status": "complete"})
            return
        early_runs.check_resumed(resume)
        click.get_current_context().meta[DETERMINISTIC] = deterministic
        devices.start(backend, device, device_count, resume)
        prepare(backend, device, devices=device_count, joins=True)
        with output.working(), stoppable(resume_command), devices.shared(device_count):
            from keras_ccsam import runs

            result = runs.resume(
                resume,
                progress=output.progress,
                compile_cache=compile_cache,
                feature_cache=feature_cache,
                save_every=interval,
                trust_code=trust_code,
            )
        if devices.is_first():
            output.result(lambda: _text(result, quiet), lambda: _content(result))
        return
    early.check_recipes([recipe], chosen.dataset, chosen.overrides())
    early.check_trackers(trackers)
    recorded = early.record(record, record_settings)
    early.check_out(out)
    if not dry_run:
        if out is None:
            early.check_room()
        devices.start(backend, device, device_count, out)
    prepare(backend, device, dry=dry_run, devices=device_count, joins=not dry_run)
    with output.working():
        from keras_ccsam import recipes, runs

        resolved = recipes.load(recipe, data=chosen.dataset, overrides=chosen.overrides())
        if dry_run:
            if out is not None:
                runs.RunDirectory(out).check_free()
            planned = runs.plan(resolved, record=recorded, data_on=data_on)
        else:
            if devices.is_first():
                notes.tell(output, [resolved])
            with stoppable(resume_command), devices.shared(device_count):
                result = runs.run(
                    resolved,
                    out,
                    progress=output.progress,
                    compile_cache=compile_cache,
                    feature_cache=feature_cache,
                    record=recorded,
                    trackers=trackers,
                    save_every=interval,
                    data_on=data_on,
                    validate_every=validate_every,
                )
    if dry_run:
        output.result(planned.text, planned.to_dict)
    elif devices.is_first():
        output.result(lambda: _text(result, quiet), lambda: _content(result))


def _refuse_others() -> None:
    """Refuse what a run that goes on cannot be given anew.

    Raises:
        ValueError: with what was given.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        given = source is click.core.ParameterSource.COMMANDLINE
        if given and parameter.expose_value and parameter.name not in _OF_RESUME:
            name = parameter.opts[0] if isinstance(parameter, click.Option) else "RECIPE"
            raise ValueError(
                "a run goes on with what it was begun with: leave this out. "
                f"Received: {name}={context.params[parameter.name or '']!r}, with --resume"
            )


def _text(result: RunResult, quiet: bool) -> str:
    table = result.report.table(class_names=result.results["class_names"])
    # Apart from the lines of the epochs.
    return f"{'' if quiet else chr(10)}{table}\n\nThe run is in {result.path}"


def _content(result: RunResult) -> dict[str, Any]:
    from keras_ccsam.callbacks.metrics_log import finite

    content: dict[str, Any] = finite(result.results)
    return content | {"path": str(result.path)}
