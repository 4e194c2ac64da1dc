"""`ccsam bound`: training loss, test loss and Theorem 1's bound of a class, over stage 1."""

from __future__ import annotations

from typing import Any

import click

from .. import early_runs, numbers
from ..errors import debug_option
from ..options import moved_data_option, runtime_options, trust_code_option
from ..output import Output, json_option, quiet_option
from ..runtime import prepare

_SHOWN = {
    "training loss": "train_{}",
    "test loss": "test_{}",
    "worst": "worst_{}",
    "root (15)": "root_15",
    "bound (15)": "bound_15_{}",
    "root (16)": "root_16",
    "bound (16)": "bound_16_{}",
}


@click.command()
@click.argument("run_dir", metavar="RUN")
@click.option(
    "--class", "label", metavar="CLASS", help="A class's name or number. [the head class]"
)
@click.option(
    "--weights",
    metavar="head|all|PATTERN",
    help="Which weights are w, where the bound is evaluated anew. [head]",
)
@click.option(
    "--delta",
    type=numbers.PROBABILITY,
    metavar="P",
    help="The probability with which the bound may fail, where it is evaluated anew. [0.05]",
)
@moved_data_option
@trust_code_option
@runtime_options
@quiet_option
@json_option
@debug_option
def command(
    run_dir: str,
    label: str | None,
    weights: str | None,
    delta: float | None,
    data: str | None,
    trust_code: bool,
    backend: str | None,
    device: str | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Draw Theorem 1's bound beside a run's losses.

    RUN is a run directory of ccsam train. With --record bound it has every epoch of stage 1. Of a
    run without a record, or with --weights or --delta, the end of stage 1 is evaluated.
    """
    output = Output(as_json, quiet)
    early_runs.check_run(run_dir)
    early_runs.check_moved(data)
    prepare(backend, device)
    with output.working():
        from keras_ccsam import runs
        from keras_ccsam.analysis.class_sets import head_class
        from keras_ccsam.callbacks.metrics_log import finite
        from keras_ccsam.labels import class_number
        from keras_ccsam.runs import run_bound

        directory = runs.RunDirectory(run_dir)
        names, counts = run_bound.classes_of(directory)
        chosen = head_class(counts) if label is None else class_number(names, label)
        content = None if weights or delta is not None else run_bound.recorded_bound(directory)
        if content is not None and chosen not in content["classes"]:
            output.note(f"class {names[chosen]} was not recorded: the end of stage 1 is evaluated")
            content = None
        recorded = content is not None
        if content is None:
            run = runs.open_run(run_dir, data=data, trust_code=trust_code)
            content = run_bound.bound_at_checkpoint(
                run, [chosen], weights or "head", 0.05 if delta is None else delta
            )
            if not run_bound.recorded_bound(directory):
                output.note(content["note"])
        picture = run_bound.picture_of(directory, content, chosen, recorded)
    output.result(
        lambda: _text(content, chosen, run_bound.last_values(content, chosen), str(picture)),
        lambda: finite(content | {"class": chosen, "picture": str(picture)}),
    )


def _text(
    content: dict[str, Any], chosen: int, values: dict[str, float | None], picture: str
) -> str:
    from keras_ccsam.text_table import text_table

    settings = content["settings"]
    rows = []
    for name, shown in {"zero_one": "0-1", "clipped": "cross-entropy clipped at 1"}.items():
        cells = [values[column.format(name)] for column in _SHOWN.values()]
        rows.append([shown, *("-" if c is None or c != c else f"{c:.3f}" for c in cells)])
    epochs = content["epochs"]
    facts = (
        f"class {content['class_names'][chosen]}, n = {content['class_counts'][chosen]:,}, after "
        f"epoch {epochs[-1]} of stage 1 ({len(epochs)} recorded); delta = {settings['delta']:g}; "
        f"w: {settings['weights']}, k = {settings['weights_count']:,}; characteristic radius with "
        "r = 1, not the one trained with"
    )
    if not settings["has_test"]:
        facts += "; no test data"
    return f"{text_table(['loss', *_SHOWN], rows)}\n\n{facts}\nDrawn into {picture}"
