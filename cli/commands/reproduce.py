"""`ccsam reproduce`: the tables of the paper's appendix, with our numbers beside theirs."""

from __future__ import annotations

from typing import Any

import click

from .. import complete, early, launching, notes
from ..errors import EXIT_RUNTIME, Failure, debug_option
from ..interruption import same_command, stoppable
from ..options import (
    Choices,
    change_options,
    compile_cache_option,
    deterministic_option,
    parse_seeds,
    protocol_option,
    record_option,
    runtime_options,
    seeds_option,
    tracker_option,
)
from ..output import Output, json_option, quiet_option


@click.command()
@click.argument("name", required=False, metavar="[TABLE]", shell_complete=complete.tables)
@click.option(
    "--scale",
    default="small",
    show_default=True,
    metavar="tiny|small|full",
    shell_complete=complete.scales,
    help="The embedded digits; CIFAR scaled to a CPU; or the paper's network and schedule.",
)
@click.option(
    "--data",
    "dataset",
    metavar="NAME",
    shell_complete=complete.settings,
    help="Dataset in place of the table's, with its own network and schedule, as in figure2 "
    "--data places-lt.",
)
@protocol_option
@change_options
@seeds_option
@runtime_options
@deterministic_option
@click.option(
    "--out",
    metavar="DIR",
    help="Folder; the finished runs in it are kept. [runs/reproduce-SCALE]",
)
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and do nothing.")
@launching.launcher_options
@tracker_option
@compile_cache_option
@record_option
@quiet_option
@json_option
@debug_option
def command(
    name: str | None,
    scale: str,
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
    trackers: tuple[str, ...],
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    dataset: str | None,
    data_path: str | None,
    protocol: str | None,
    **choices: Any,
) -> None:
    """Train the rows of a published table and print both numbers.

    Without TABLE, list the tables and figures of the CC-SAM paper's appendix. The same command
    again goes on where it was interrupted, and tables in the same folder share their runs.
    """
    output, changed = Output(as_json, quiet), Choices(**choices)
    numbers = parse_seeds(seeds)
    early.check_table(name, scale, changed.overrides(), dataset, protocol)
    early.check_trackers(trackers)
    launched = launching.chosen(launcher, jobs, launcher_settings)
    recorded = early.record(record, record_settings)
    early.check_out(out, "reproduction")
    launched.prepare(backend, device, dry=dry_run or name is None)
    with output.working():
        from keras_ccsam import reproduction

        if name is not None:
            overrides = changed.overrides()
            plan = reproduction.plan_reproduction(
                name,
                scale,
                numbers,
                out,
                data=dataset,
                data_path=data_path,
                overrides=overrides,
                protocol=protocol,
            )
            plan.comparisons()  # refuses folders that hold anything else
            notes.tell(output, [row.recipe for row in plan.rows], plan.without_stage2)
            if dry_run:
                reproduction.check_groups(plan, recorded, read=False)
            else:
                with stoppable(same_command):
                    result = reproduction.reproduce(
                        name,
                        scale,
                        numbers,
                        out,
                        data=dataset,
                        data_path=data_path,
                        overrides=overrides,
                        protocol=protocol,
                        progress=output.progress,
                        compile_cache=compile_cache,
                        record=recorded,
                        trackers=trackers,
                        launcher=launched.launcher(),
                    )
    if name is None:
        output.result(_listed, _tables)
        return
    if dry_run:
        output.result(plan.text, plan.to_dict)
        return
    gap = "" if quiet else "\n"
    output.result(
        lambda: f"{gap}{result.text()}\n\nThe runs are in {result.path}",
        lambda: result.to_dict() | {"path": str(result.path)},
    )
    if result.missing:
        lost = sum(len(rows) for rows in result.missing.values())
        raise Failure(
            f"{lost} of {len(result.rows)} rows are missing, see below the table; the same command "
            "trains them when the reason is gone",
            EXIT_RUNTIME,
        )


def _tables() -> list[dict[str, Any]]:
    from keras_ccsam.recipes import tables

    return [
        {"table": name, "rows": len(table.rows), "title": table.title, "source": table.source}
        for name, table in ((name, tables.load(name)) for name in tables.names())
    ]


def _listed() -> str:
    from keras_ccsam.text_table import text_table

    header = ("table", "rows", "what it shows", "published in")
    rows = [(t["table"], str(t["rows"]), t["title"], t["source"]) for t in _tables()]
    return text_table(header, rows, left=header[2:])
