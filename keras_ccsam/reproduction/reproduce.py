"""The tables and figures of the CC-SAM appendix, trained as comparisons, beside the paper's."""

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_ccsam import atomic
from keras_ccsam.comparison.check_models import check_models
from keras_ccsam.comparison.compare import train
from keras_ccsam.comparison.comparison import MissingRun, Row
from keras_ccsam.comparison.plan import run_path
from keras_ccsam.comparison.time_left import TimeLeft
from keras_ccsam.comparison.written import row
from keras_ccsam.launching import Launcher
from keras_ccsam.reproduction.accuracy_figure import accuracy_figure
from keras_ccsam.reproduction.bound_figure import RECORD, bound_figure
from keras_ccsam.reproduction.figure import Figure
from keras_ccsam.reproduction.landscape_figure import landscape_figure
from keras_ccsam.reproduction.plan import PlannedRow, ReproductionPlan, plan_reproduction
from keras_ccsam.reproduction.reproduction import ReproducedRow, Reproduction
from keras_ccsam.runs import parts
from keras_ccsam.runs.claim import claim, release, released_if_it_fails
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.folders import PathLike, make
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.run_directory import RunDirectory, write_json
from keras_ccsam.runs.unread import known_data
from keras_ccsam.trackers import check


def reproduce(
    name: str,
    scale: str = "small",
    seeds: Sequence[int] | int = 1,
    out: PathLike | None = None,
    *,
    data: str | None = None,
    data_path: PathLike | None = None,
    overrides: Sequence[str] = (),
    protocol: str | None = None,
    progress: str = "auto",
    compile_cache: PathLike = "auto",
    record: Record = (),
    trackers: Sequence[str] = (),
    launcher: Launcher | None = None,
) -> Reproduction:
    """Train the rows of a published table and set the results beside the published numbers.

    Rows on the same data are one comparison (`compare`), so they share first stages. Finished runs
    in the folder are kept, those of other tables included: give the same `out` to go on where a
    call was interrupted, or to let the next table use what the last one trained.

    Args:
        name: `"table1"` ... `"table5"`, `"figure1"` ... `"figure9"`, or `"landscapes"`, which is
            figures 4 to 9 in one: `recipes.tables.names()`.
        scale: `"full"` is the paper's network and schedule, `"small"` one for a CPU on the same
            data, `"tiny"` the embedded digits in place of CIFAR.
        seeds: as in `compare`.
        out: an absent or empty folder, or one of an earlier reproduction at the same scale;
            `runs/reproduce-<scale>` by default. Gets a comparison's folder for each data set and
            imbalance ratio, `<name>.md`, `<name>.json` and, of a figure, `<name>.png`.
        data: a setting in place of the table's data, such as `"places-lt"` for figure 2, which was
            published for it; with its own network and schedule, whatever the scale. The rows are
            those on the table's first data set.
        data_path: where the data lies; of CIFAR a folder with CIFAR-10 and CIFAR-100, for a table
            with both.
        overrides: `"stage1.epochs=20"`, as in `recipes.load`, for every row; those of `stage2` go
            to the recipes that have a second stage.
        protocol: `"ablation"`, with mixup, or `"main"`, with AutoAugment and Cutout in its place;
            by default the table's own. By another one no number was published.
        progress: as in `run`.
        compile_cache: as in `run`; `"auto"` is beside `out`.
        record: as in `compare`.
        trackers: as in `compare`.
        launcher: as in `compare`; of the runs on one data set. Figures are drawn here.

    Returns:
        The table. A row whose data cannot be had, or whose training failed, is in `missing` with
        the reason; the others are there.

    Raises:
        ValueError: an unknown table, scale or key, a folder with anything else in it, a model that
            cannot be built, a tracker that is not installed, or no row's data can be had. Nothing
            has been trained then.
    """
    shown = Progress(progress)
    record = check_record(record)
    check(trackers)
    chosen = plan_reproduction(
        name,
        scale,
        seeds,
        out,
        data=data,
        data_path=data_path,
        overrides=overrides,
        protocol=protocol,
    )
    comparisons = chosen.comparisons()
    if chosen.table.measure == "bound":
        record = {**record, RECORD: record.get(RECORD, {})}
    failed = check_groups(chosen, record)
    make(chosen.path)
    claim(chosen.path, "reproduction", scale=scale)
    clock = TimeLeft(run for plan in comparisons.values() for run in plan.runs)
    missing: dict[tuple[Path, str], MissingRun] = {}
    for folder in failed:
        clock.drop(folder)
    with (
        released_if_it_fails(chosen.path, "reproduction", scale=scale),
        kept_programs(compile_cache, chosen.path, announce=shown.shown),
    ):
        for number, (folder, plan) in enumerate(comparisons.items(), start=1):
            if folder in failed:
                continue
            shown.say(f"{name} {number}/{len(comparisons)}: {folder.name}")
            try:
                trained = train(plan, shown, clock, "off", record, trackers, launcher=launcher)
                missing |= {(folder, run.recipe): run for run in trained.missing}
            except Exception as error:  # the other data sets' rows must not be lost with this one's
                reason = " ".join(str(error).split())
                failed[folder] = f"training failed: {type(error).__name__}: {reason}"
                clock.drop(folder)
    rows = tuple(_reproduced(planned, chosen.seeds, failed, missing) for planned in chosen.rows)
    figure = _figure(chosen, rows, shown)
    reproduction = Reproduction(
        name,
        chosen.table,
        scale,
        chosen.seeds,
        keras.backend.backend(),
        chosen.overrides,
        chosen.path,
        rows,
        figure,
    )
    write_json(chosen.path / f"{name}.json", reproduction.to_dict())
    atomic.write_text(chosen.path / f"{name}.md", reproduction.markdown())
    status = "incomplete" if reproduction.missing else "complete"
    release(chosen.path, "reproduction", status, scale=scale)
    return reproduction


def check_groups(
    chosen: ReproductionPlan, record: Record = (), *, read: bool = True
) -> dict[Path, str]:
    """Find a recipe's mistake before the first run; return why a group's data cannot be had.

    Args:
        chosen: from `plan_reproduction`.
        record: as in `reproduce`.
        read: False reads no image, for a plan.

    Raises:
        ValueError: a part of a recipe cannot be made, or no group has data.
    """
    failed: dict[Path, ValueError] = {}
    load = parts.load_data if read else known_data
    for folder, group in chosen.groups().items():
        try:
            load(group[0].data)
        except ValueError as error:
            failed[folder] = error
        else:
            check_models(group, record, read=read)
    if len(failed) == len(chosen.groups()):
        raise next(iter(failed.values()))
    return {folder: " ".join(str(error).split()) for folder, error in failed.items()}


def _figure(
    chosen: ReproductionPlan, rows: tuple[ReproducedRow, ...], shown: Progress
) -> Figure | None:
    """Make the figure of the rows whose runs are all there."""
    runs = {
        row.source.label: [run_path(row.folder, row.recipe, seed) for seed in chosen.seeds]
        for row in rows
        if row.result is not None
    }
    if not runs:
        return None
    if chosen.table.measure == "landscape":
        return landscape_figure(chosen.table, runs, chosen.scale, chosen.name, chosen.path, shown)
    if chosen.table.measure == "bound":
        return bound_figure(runs, chosen.name, chosen.path)
    if chosen.name.startswith("figure"):
        return accuracy_figure(rows, chosen.name, chosen.path)
    return None


def _reproduced(
    planned: PlannedRow,
    seeds: tuple[int, ...],
    failed: dict[Path, str],
    missing: dict[tuple[Path, str], MissingRun],
) -> ReproducedRow:
    result: Row | None = None
    paths = (run_path(planned.folder, planned.recipe, seed) for seed in seeds)
    if all(RunDirectory(path).status() == "complete" for path in paths):
        result = row(planned.folder, planned.recipe, seeds)
    reason = failed.get(planned.folder, "") if result is None else ""
    if run := missing.get((planned.folder, planned.recipe.name)):
        reason = f"{run.how} with seed {run.seed}: {run.reason}"
    return ReproducedRow(planned.source, planned.recipe, planned.folder, result, reason)
