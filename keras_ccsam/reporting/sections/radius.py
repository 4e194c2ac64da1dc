"""How far CC-SAM moves the weights of each class: over its images, and over training."""

from collections.abc import Sequence
from typing import Any

from keras_ccsam.analysis.report.blocks import Block, Figure, Section
from keras_ccsam.analysis.report.line_chart import Line, line_chart
from keras_ccsam.reporting.found_runs import Runs
from keras_ccsam.reporting.sections.epoch_records import Found, over_counts, over_epochs, records
from keras_ccsam.reporting.wording import legend

FILE = "radius.json"
_COLUMNS = (
    ("radius", "radius, r = 1"),
    ("step_norm", "length of the step"),
    ("gradient_norm", "norm of the gradient"),
)


def section(runs: Runs) -> Section:
    """Radius, step and gradient over the counts at the end, and over epochs of three classes."""
    name, title = f"radius{runs.id}", "Radius"
    found = records(runs, "radius", FILE)
    if not found:
        return Section(
            name,
            title,
            "The radii of the classes were not recorded while these runs trained. That is done by",
            command="ccsam train --record bound,radius",
        )
    blocks: list[Block] = [_over_counts(runs, found), _over_epochs(runs, found)]
    return Section(
        name,
        title,
        "How far CC-SAM moves the weights against each class. At the same gradient the radius is "
        "larger for fewer images, and at the same number of images smaller for a larger gradient; "
        "rare classes mostly have both.",
        blocks,
    )


def _over_counts(runs: Runs, found: Found) -> Figure:
    panels = []
    for column, title in _COLUMNS:
        lines = []
        for index, method in enumerate(runs.methods):
            line = over_counts(runs, found.get(method.name, ()), column, method.name, index)
            if line is not None:
                lines.append(line)
        if lines:
            panels.append(_chart(title, lines, "training images of the class", log_x=True))
    keys = [key for key in legend(runs.methods) if key.name in found]
    return Figure(panels, f"One point per class, after the last epoch. {_how(found)}", keys)


def _over_epochs(runs: Runs, found: Found) -> Figure:
    order = runs.by_count
    chosen = list(dict.fromkeys((order[0], order[len(order) // 2], order[-1])))
    panels = []
    for label in chosen:
        lines = []
        for index, method in enumerate(runs.methods):
            many = found.get(method.name, ())
            line = over_epochs(many, "step_norm", label, method.name, index) if many else None
            if line is not None:
                lines.append(line)
        if lines:
            name = runs.class_names[label]
            panels.append(
                _chart(f"class {name}, {runs.class_counts[label]} images", lines, "epoch")
            )
    keys = [key for key in legend(runs.methods) if key.name in found]
    return Figure(
        panels,
        "The length of the step over the epochs of stage 1: of the class with the most images, of "
        "one in the middle, and of the one with the fewest.",
        keys,
    )


def _chart(title: str, lines: Sequence[Line], x_label: str, log_x: bool = False) -> Any:
    values = [v for line in lines for v in line.y]
    log = min(values) > 0 and max(values) > 10 * min(values)
    include = () if log else (0.0,)
    return line_chart(title, lines, x_label, log_x=log_x, log_y=log, include_y=include)


def _how(found: Found) -> str:
    settings: dict[str, Any] = next(iter(found.values()))[0]["settings"]
    return (
        f"Weights: {settings['weights']}; the gradient is {settings['gradient']} "
        f"({settings['samples']} samples)."
    )
