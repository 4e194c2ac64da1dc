"""`ccsam evaluate`: the numbers of a finished run, computed anew from its model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .. import arrays, early_runs
from ..errors import debug_option
from ..options import runtime_options, trust_code_option
from ..output import Output, json_option
from ..runtime import prepare

if TYPE_CHECKING:
    from keras_ccsam.data.batches.labelled_parts import Split
    from keras_ccsam.metrics import Report


@click.command()
@click.argument("run")
@click.option(
    "--arrays", "file", metavar="FILE", help="Evaluate on an npz of your own, with x and y."
)
@click.option(
    "--data",
    metavar="PATH",
    help="Evaluate on a labelled folder, list, table or arrays; classes are matched by name.",
)
@click.option(
    "--kind",
    metavar="KIND",
    help="What PATH holds: folder, list, inat, table, arrays or huggingface. [what it looks like]",
)
@click.option(
    "--split",
    type=click.Choice(["test", "validation", "train"]),
    default="test",
    show_default=True,
    help="Which part of the run's own data.",
)
@trust_code_option
@json_option
@runtime_options
@debug_option
def command(
    run: str,
    file: str | None,
    data: str | None,
    kind: str | None,
    split: Split,
    trust_code: bool,
    as_json: bool,
    backend: str | None,
    device: str | None,
) -> None:
    """Evaluate a trained run on its test set, or on images of your own.

    RUN is a run directory of ccsam train.
    """
    output = Output(as_json)
    early_runs.check_run(run)
    early_runs.check_evaluate(file, data, kind)
    if file is not None:
        arrays.require(file)
    prepare(backend, device)
    with output.working():
        from keras_ccsam import runs
        from keras_ccsam.callbacks.metrics_log import finite

        names = runs.RunDirectory(run).results()["class_names"]
        if data is not None:
            from keras_ccsam import deployment

            judged = deployment.evaluate_on(run, data, kind, trust_code=trust_code)
            report = judged.report
            for note in judged.notes:
                output.note(note)
        elif file is None:
            report = runs.evaluate_run(run, split, trust_code=trust_code)
        else:
            report = _on_arrays(run, file, trust_code)
    output.result(lambda: report.table(class_names=names), lambda: finite(report.to_dict()))


def _on_arrays(run: str, file: str, trust_code: bool) -> Report:
    """Evaluate a run's model on other images; the groups stay those of its training set."""
    import keras_ccsam as cc
    from keras_ccsam import runs
    from keras_ccsam.data.sources.array_checks import check_counts_match, check_images
    from keras_ccsam.labels import check_labels
    from keras_ccsam.runs import parts

    directory = runs.RunDirectory(run)
    results, recipe = directory.results(), directory.recipe(trust_code=trust_code)
    read = arrays.read(file)
    # New images need not have all classes, as training images must.
    x = check_images(read["x"], "x")
    y = check_labels(read["y"], "y", len(x), len(results["class_names"]))
    if "class_counts" in read:
        check_counts_match(y, read["class_counts"], len(results["class_names"]))
    model = directory.model()
    expected = model.input_shape[1:]
    if x.shape[1:] != expected:
        raise ValueError(
            f"The run's model takes images of the shape {expected}. "
            f"Received: {file} with images of the shape {x.shape[1:]}"
        )
    return cc.evaluate(
        model,
        (x, y),
        class_counts=results["class_counts"],
        **parts.group_options(recipe.groups),
    )
