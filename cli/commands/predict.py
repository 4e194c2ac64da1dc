"""`ccsam predict`: images and what a trained network says of them."""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import click

from .. import early_runs, numbers
from ..count import Count
from ..errors import EXIT_INPUT, EXIT_RUNTIME, debug_option
from ..options import read_temperature, runtime_options, trust_code_option
from ..output import Output
from ..runtime import prepare

_PIECE = 65536  # bytes
# What image files begin with: JPEG, PNG, GIF, BMP, TIFF, WebP.
_IMAGES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")


@click.command()
@click.argument("run")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--top", type=Count(), default=1, show_default=True, help="Classes each.")
@click.option(
    "--temperature",
    callback=read_temperature,
    default="auto",
    metavar="T|auto",
    help="Divide the logits by T. [auto: fitted on the run's validation split, if it has one]",
)
@click.option(
    "--logit-adjustment",
    type=numbers.AT_LEAST_0,
    default=0.0,
    metavar="TAU",
    help="Subtract TAU log(class share) from the logits. [0: nothing]",
)
@click.option(
    "-o", "--output", "file", metavar="FILE", help="Write a .csv or .jsonl file, whole or not."
)
@click.option("--force", is_flag=True, help="Replace the file of --output.")
@click.option("--batch-size", type=Count(), default=64, show_default=True, help="Images per step.")
@click.option("--threads", type=Count(), help="That decode. [the processors]")
@click.option(
    "-0",
    "--null",
    is_flag=True,
    help="A zero byte ends each name on standard input (find -print0).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per line.")
@click.option("--quiet", "-q", is_flag=True, help="No notes and no count.")
@trust_code_option
@runtime_options
@debug_option
def command(
    run: str,
    images: tuple[str, ...],
    top: int,
    temperature: Any,
    logit_adjustment: float,
    file: str | None,
    force: bool,
    batch_size: int,
    threads: int | None,
    null: bool,
    as_json: bool,
    quiet: bool,
    trust_code: bool,
    backend: str | None,
    device: str | None,
) -> None:
    """Classify images with a trained network: files, folders, standard input.

    RUN is a run directory, or a .keras or .onnx file of ccsam export. IMAGES are files, folders
    (with all images below them), or - for paths on standard input, one per line. An image that
    cannot be read is named, and the others go on: the exit code is then 1, and 2 where none
    could be read.
    """
    early_runs.check_predict(run, file, force)
    prepare(backend, device)
    named: list[str] = []
    end = b"\0" if null else b"\n"
    typed = _on_standard_input(end) if "-" in images else iter(())
    with Output(True).working():
        from keras_ccsam import deployment
        from keras_ccsam.text_table import shown

        asked = deployment.Classifier(
            run,
            temperature=temperature,
            logit_adjustment=logit_adjustment,
            trust_code=trust_code,
        )
    top = min(top, len(asked.class_names))
    said = deployment.predict(
        asked,
        _named(images, typed, named),
        top=top,
        batch_size=batch_size,
        threads=threads,
    )
    first = next(said, None)
    if first is None:
        raise ValueError(_without(named))
    if not quiet:
        click.echo(f"note: {asked.calibration}", err=True)
    read = unreadable = 0
    with ExitStack() as stack:
        write = _writer(stack, file, as_json, top)
        for prediction in chain([first], said):
            if prediction.problem is not None:
                unreadable += 1
                click.echo(f"unreadable: {shown(prediction.path)}: {prediction.problem}", err=True)
            else:
                read += 1
                if prediction.note and not quiet:
                    click.echo(f"warning: {shown(prediction.path)}: {prediction.note}", err=True)
            write(prediction)
    if not quiet:
        where = f", in {file}" if file else ""
        images_read = "1 image" if read == 1 else f"{read} images"
        click.echo(f"{images_read} classified, {unreadable} unreadable{where}", err=True)
    if not read:
        if quiet:
            click.echo("ccsam: error: no image could be read", err=True)
        sys.exit(EXIT_INPUT)
    if unreadable:
        sys.exit(EXIT_RUNTIME)


def _named(images: Iterable[str], typed: Iterator[str], first: list[str]) -> Iterator[str]:
    """The names, with those on standard input in the place of `-`, as they come.

    Args:
        images: as they were typed.
        typed: those on standard input.
        first: takes the first name.
    """
    for name in images:
        for one in (name,) if name != "-" else typed:
            if not first:
                first.append(one)
            yield one


def _on_standard_input(end: bytes) -> Iterator[str]:
    """Names of any bytes but the one that ends them, and but for empty ones.

    Raises:
        ValueError: what is there are no names; before the first is asked for.
    """
    stream: Any = sys.stdin.buffer
    lines = end == b"\n"
    begin = stream.readline(_PIECE) if lines else stream.read1(_PIECE)
    if (looks := begin.startswith(_IMAGES) and _is_binary(begin)) or (lines and b"\0" in begin):
        what = "looks like an image: name the file instead" if looks else "has zero bytes: add -0"
        raise ValueError(f"standard input holds no list of paths (it {what}). Received: -")
    return _lines_of(begin, stream) if lines else _pieces_of(begin, stream, end)


def _is_binary(begin: bytes) -> bool:
    """Whether there is what no name has: control characters, or bytes that are no text."""
    first = begin[:16]
    return any(byte < 32 and byte not in b"\t\r\n" for byte in first) or not first.isascii()


def _lines_of(begin: bytes, stream: Any) -> Iterator[str]:
    if begin and not begin.endswith(b"\n"):
        begin += stream.readline()
    for line in chain([begin], stream):
        if line.strip():
            yield os.fsdecode(line.rstrip(b"\r\n"))


def _pieces_of(begin: bytes, stream: Any, end: bytes) -> Iterator[str]:
    *whole, rest = begin.split(end)
    yield from (os.fsdecode(name) for name in whole if name)
    while piece := stream.read1(_PIECE):
        *whole, rest = (rest + piece).split(end)
        yield from (os.fsdecode(name) for name in whole if name)
    if rest:
        yield os.fsdecode(rest)


def _without(named: list[str]) -> str:
    """Why there was nothing to classify."""
    if not named:
        return "no image was named: standard input held no path. Received: -"
    return (
        "there is no image in the folder, that is no file that ends like one, such as .jpg or "
        f".png. Received: {named[0]!r}"
    )


def _writer(stack: ExitStack, file: str | None, as_json: bool, top: int) -> Any:
    """What takes one prediction after the other."""
    if file is not None:
        from keras_ccsam import atomic

        path = Path(file)
        temporary = stack.enter_context(atomic.replacing(path))
        # Names of files may hold bytes that are no UTF-8; JSON reads the escapes as what they were.
        opened = temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="")
        stream = stack.enter_context(opened)
        return _csv(stream, top) if path.suffix == ".csv" else _lines(stream)
    if as_json:
        return _lines(None)
    return lambda found: None if found.problem else click.echo(_row(found))


def _row(found: Any) -> str:
    """`97.1 %  cat              photos/a.jpg`, with further classes behind it."""
    from keras_ccsam.text_table import shown

    cells = [
        f"{100 * p:5.1f} %  {shown(name):<12}"
        for p, name in zip(found.probabilities, found.names, strict=True)
    ]
    return "  ".join([*cells, shown(found.path)])


def _lines(stream: io.TextIOBase | Any | None) -> Any:
    def write(found: Any) -> None:
        line = json.dumps(found.to_dict(), ensure_ascii=False)
        if stream is None:
            click.echo(line.encode("utf-8", "backslashreplace").decode())
        else:
            stream.write(line + "\n")

    return write


def _csv(stream: Any, top: int) -> Any:
    table = csv.writer(stream, lineterminator=os.linesep)
    pairs = [(f"class_{n}", f"probability_{n}") for n in range(2, top + 1)]
    table.writerow(["image", "class", "probability", *sum(pairs, ()), "problem"])

    def write(found: Any) -> None:
        cells: list[Any] = []
        for name, p in zip(found.names, found.probabilities, strict=True):
            cells += [name, f"{p:.6f}"]
        cells += [""] * (2 * top - len(cells))
        table.writerow([found.path, *cells, found.problem or ""])

    return write
