"""`ccsam data verify` and `ccsam data pack`: what reads every image file of a set."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from . import light
from .errors import EXIT_RUNTIME, Failure, debug_option
from .output import Output, json_option, quiet_option
from .runtime import prepare

if TYPE_CHECKING:
    from keras_ccsam.data.sources.listing import Listing


@click.command()
@click.argument("path")
@click.option("--kind", metavar="KIND", help="What the path holds: folder, list, table or inat.")
@click.option("--root", default="", metavar="DIR", help="Folder that the listed paths are below.")
@quiet_option
@json_option
@debug_option
def verify(path: str, kind: str | None, root: str, quiet: bool, as_json: bool) -> None:
    """Read every image of a set, and say which cannot be used.

    PATH is a folder, list, table or JSON, as train --data takes it. Exits with 1 where images
    cannot be used, with 0 where they can, whatever else is said of them.
    """
    output = Output(as_json, quiet)
    if kind is None:
        light.library("data.sources.recognise").recognise(path)
    prepare(dry=True)
    with output.working():
        from keras_ccsam.data.images.verifying import verify as verified

        listing, paths, labels = _listed(path, kind, root)
        found = verified(
            paths,
            listing.root,
            labels=labels,
            class_names=listing.class_names,
            progress=_progress("verified", quiet),
        )
    output.result(found.table, found.to_dict)
    if found.unusable:
        raise Failure(
            f"{len(found.unusable)} of {found.images} images cannot be used: mend them, or take "
            f"them out of the set. Received: {path!r}",
            EXIT_RUNTIME,
        )


@click.command()
@click.argument("path")
@click.argument("out")
@click.option("--kind", metavar="KIND", help="What the path holds: folder, list, table or inat.")
@click.option("--root", default="", metavar="DIR", help="Folder that the listed paths are below.")
@click.option(
    "--form",
    type=click.Choice(["pixels", "jpeg"]),
    default="pixels",
    show_default=True,
    help="Pixels are read without decoding; JPEG takes a tenth of the space.",
)
@click.option("--side", type=int, metavar="N", help="Pixels. [what the images have, at most 224]")
@quiet_option
@json_option
@debug_option
def pack(
    path: str,
    out: str,
    kind: str | None,
    root: str,
    form: Any,
    side: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Pack the images of a set into one file, for epochs without decoding.

    PATH is a folder, list, table or JSON, as train --data takes it; OUT is a folder for the pack.
    Training reads it with --set data.packed=OUT.
    """
    output = Output(as_json, quiet)
    if kind is None:
        light.library("data.sources.recognise").recognise(path)
    prepare(dry=True)
    with output.working():
        from keras_ccsam.data.images.files import ImageFiles
        from keras_ccsam.data.images.packing import pack as packed
        from keras_ccsam.data.sources.image_size import fitting_size

        listing, paths, _ = _listed(path, kind, root)
        pixels = side or fitting_size(listing)
        files = ImageFiles(list(dict.fromkeys(paths)), listing.root, size=pixels)
        progress = _progress("packed", quiet)
        found = packed(files, out, form=form, side=side, progress=progress)
    output.result(found.table, found.to_dict)


def _listed(path: str, kind: str | None, root: str) -> tuple[Listing, list[str], list[int]]:
    """The image files of all parts of a set."""
    from keras_ccsam.data.sources.path import list_path

    listing = list_path(path, kind, root)
    parts = listing.parts().values()
    paths = [name for rows in parts for name in rows.paths]
    return listing, paths, [label for rows in parts for label in rows.labels.tolist()]


def _progress(done: str, quiet: bool) -> Callable[[int, int], None] | None:
    """A line on a terminal that is drawn over; nothing elsewhere."""
    if quiet or not sys.stderr.isatty():
        return None

    def show(number: int, total: int) -> None:
        end = "\n" if number == total else ""
        click.echo(f"\r{done} {number:,} of {total:,}\x1b[K{end}", err=True, nl=False)

    return show
