"""Loss, accuracy and learning rate over the epochs of both stages."""

import math
import statistics
from collections.abc import Sequence

from keras_ccsam.analysis.report.blocks import Figure, Section
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.callbacks.metrics_log import Record
from keras_ccsam.reporting.found_runs import Method, Runs
from keras_ccsam.reporting.wording import legend

_PANELS = (
    ("loss", "training loss", 1.0),
    ("accuracy", "training accuracy (%)", 100.0),
    ("val_loss", "validation loss", 1.0),
    ("val_accuracy", "validation accuracy (%)", 100.0),
    ("learning_rate", "learning rate", 1.0),
)


def section(runs: Runs) -> Section | None:
    """One row of panels for each stage."""
    blocks = [figure for stage in (1, 2) if (figure := _figure(runs, stage)) is not None]
    if not blocks:
        return None
    return Section(
        f"curves{runs.id}",
        "Curves",
        "Training losses of different methods measure different things (smoothing, mixup, "
        "margins), and accuracy in training is of mixed or re-sampled batches where the recipe "
        "has them: compare their shape, not their height.",
        blocks,
    )


def _figure(runs: Runs, stage: int) -> Figure | None:
    panels = []
    for key, title, scale in _PANELS:
        lines = [
            line
            for index, method in enumerate(runs.methods)
            if (line := _line(method, stage, key, scale, index)) is not None
        ]
        if lines:
            values = [v for line in lines for v in line.y if math.isfinite(v)]
            rate = key == "learning_rate"
            log = rate and min(values) > 0 and max(values) > 20 * min(values)
            include = (0.0,) if rate and not log else ()
            panels.append(line_chart(title, lines, "epoch", log_y=log, include_y=include))
    if not panels:
        return None
    seeds = max(len(method.runs) for method in runs.methods)
    band = ", the band from the lowest to the highest" if seeds > 1 else ""
    what = f"Lines are means over seeds{band}." if seeds > 1 else "Each line is one seed."
    present = [m for m in runs.methods if any(_records(run.records, stage) for run in m.runs)]
    some = "" if len(present) == len(runs.methods) else f" ({', '.join(m.name for m in present)})"
    entries = [k for k, m in zip(legend(runs.methods), runs.methods, strict=True) if m in present]
    alike = _alike(runs, stage)
    return Figure(panels, f"Stage {stage}{some}. {what}{alike}", entries, runs.command)


def _alike(runs: Runs, stage: int) -> str:
    """Which methods lie on one line, as those that share a first stage do."""
    lines: dict[tuple[float, ...], list[str]] = {}
    for index, method in enumerate(runs.methods):
        line = _line(method, stage, "loss", 1.0, index)
        if line is not None:
            lines.setdefault(tuple(line.y), []).append(method.name)
    same = [", ".join(names) for names in lines.values() if len(names) > 1]
    return f" On one line, because they are the same: {'; '.join(same)}." if same else ""


def _records(records: Sequence[Record], stage: int) -> list[Record]:
    return [record for record in records if record.get("stage") == stage]


def _line(method: Method, stage: int, key: str, scale: float, index: int) -> Line | None:
    columns: dict[int, list[float]] = {}
    for run in method.runs:
        for record in _records(run.records, stage):
            value = record.get(key)
            if isinstance(value, int | float):
                columns.setdefault(int(record["epoch"]), []).append(scale * value)
    if not columns:
        return None
    epochs = sorted(columns)
    whole = len(method.runs) > 1
    return Line(
        method.name,
        [float(e) for e in epochs],
        [statistics.fmean(columns[e]) for e in epochs],
        [min(columns[e]) for e in epochs] if whole else (),
        [max(columns[e]) for e in epochs] if whole else (),
        index,
        thin=False,
    )
