"""`ccsam export`: a trained network as a file that needs nothing of this package."""

from __future__ import annotations

from typing import Any

import click

from .. import early_runs, numbers
from ..errors import debug_option
from ..options import read_temperature, trust_code_option
from ..output import Output, json_option, quiet_option
from ..runtime import prepare


@click.command()
@click.argument("run")
@click.option(
    "--format",
    "format_name",
    metavar="keras|onnx|saved_model|litert|torch",
    default="onnx",
    show_default=True,
    help="What to write.",
)
@click.option(
    "-o", "--out", metavar="FILE", help="Where. [model with its suffix, in the run's export]"
)
@click.option(
    "--logits/--probabilities",
    help="What the file puts out. [probabilities]",
)
@click.option(
    "--logit-adjustment",
    type=numbers.AT_LEAST_0,
    default=0.0,
    metavar="TAU",
    help="Subtract TAU log(class share) from the logits, for networks trained with plain "
    "cross-entropy. [0: nothing]",
)
@click.option(
    "--temperature",
    callback=read_temperature,
    default="1",
    metavar="T|auto",
    help="Divide the logits by T; auto fits it on the run's validation split. [1]",
)
@click.option(
    "--with-pixels",
    is_flag=True,
    help="Let the file take uint8 images of any size and resize them itself.",
)
@click.option("--force", is_flag=True, help="Replace what is there.")
@trust_code_option
@quiet_option
@json_option
@click.option(
    "--backend",
    metavar="jax|tensorflow|torch",
    help="Keras backend that opens the run. The one that the format needs writes it.",
)
@debug_option
def command(
    run: str,
    format_name: str,
    out: str | None,
    logits: bool,
    logit_adjustment: float,
    temperature: Any,
    with_pixels: bool,
    force: bool,
    trust_code: bool,
    quiet: bool,
    as_json: bool,
    backend: str | None,
) -> None:
    """Write a trained network as Keras, ONNX, SavedModel, LiteRT or torch.export.

    RUN is a run directory of ccsam train. Whatever backend it was trained on, the one that the
    format needs writes it. The file is loaded again and compared with the run's own predictions.
    """
    output = Output(as_json, quiet)
    early_runs.check_export(run, format_name, out, force)
    prepare(backend, "cpu")
    with output.working():
        from keras_ccsam import deployment

        done = deployment.export(
            run,
            format_name,
            out,
            outputs="logits" if logits else "probabilities",
            logit_adjustment=logit_adjustment,
            temperature=temperature,
            pixels=with_pixels,
            force=force,
            trust_code=trust_code,
        )
    output.result(
        lambda: _text(done, quiet),
        lambda: {"path": str(done.path), "facts": str(done.beside), **done.facts},
    )


def _text(done: Any, quiet: bool) -> str:
    if quiet:
        return str(done.path)
    facts = done.facts
    if done.difference is None:
        checked = "nothing is installed here that runs it, so it was not compared with the run"
    else:
        checked = (
            "loaded again; the largest difference from the run's own predictions is "
            f"{done.difference:.2g}"
        )
    kept = facts["temperature"]
    baked = [facts["output"]["name"]]
    fitted = kept["fitted"]
    useless = bool(fitted) and not fitted["used"]
    baked += [f"temperature {kept['value']:.4g}"] if kept["value"] != 1 else []
    baked += [f"temperature 1, as {fitted['unused_because']}"] if useless else []
    tau = facts["logit_adjustment"]
    baked += [f"logits adjusted with tau {tau:g}"] if tau else []
    baked += ["images of any size"] if facts["input"]["resized_inside"] else []
    return "\n".join(
        (
            f"{done.path}  written by {done.backend}",
            f"holds     {', '.join(baked)}",
            f"checked   {checked}",
            f"facts     {done.beside}",
            "",
            done.snippet,
        )
    )
