"""`ccsam data`: which datasets there are, and how long the tail of one is."""

from __future__ import annotations

import json
from typing import Any

import click

from .. import arrays, complete, data_facts, data_files, early
from ..errors import debug_option
from ..options import read_ratio
from ..output import Output, json_option
from ..runtime import prepare


@click.group()
@debug_option
def command() -> None:
    """List the datasets, or look at one, verify its images or pack them."""


command.add_command(data_files.verify)
command.add_command(data_files.pack)


@command.command(name="list")
@json_option
@debug_option
def list_data(as_json: bool) -> None:
    """List the datasets that can be loaded by name."""
    output = Output(as_json)
    prepare(dry=True)
    with output.working():
        from keras_ccsam.text_table import text_table

        rows = _datasets()
    header = ("dataset", "classes", "test images", "network", "epochs", "what it is")
    keys = ("dataset", "classes", "test_images", "network", "epochs", "description")
    left = ("network", "what it is")
    output.result(
        lambda: text_table(header, [tuple(map(str, row)) for row in rows], left=left),
        lambda: [
            dict(zip(keys, (None if v == "-" else v for v in row), strict=True)) for row in rows
        ],
    )


def _datasets() -> list[tuple[str, int | str, int | str, str, int, str]]:
    """What `--data` takes: each dataset, and below it the settings of it."""
    from keras_ccsam import recipes
    from keras_ccsam.data import DATASETS
    from keras_ccsam.declare import find

    rows = []
    order = {name: place for place, name in enumerate(DATASETS)}
    settings = [recipes.load("ce", data=name) for name in recipes.settings()]
    settings.sort(key=lambda recipe: order.get(recipe.data.name, len(order)))
    for found in settings:
        info = DATASETS.get(found.data.name)
        if info is None:
            # Their lists tell how many there are.
            counted: tuple[int | str, int | str] = ("-", "-")
            said = find("data", found.data.name).summary.rstrip(".")
        else:
            counted = (info.num_classes, info.test_images)
            said = info.description
            if found.setting != found.data.name:
                ways = {"-small": "at a scale for CPUs", "-main": "with AutoAugment and Cutout"}
                own = [words for mark, words in ways.items() if mark in found.setting]
                said = f"{found.data.name} {', '.join(own)}"
        network = found.to_dict()["model"]["backbone"]["name"]
        rows.append((found.setting, *counted, network, found.stage1.epochs, said))
    return rows


@command.command()
@click.argument("name", shell_complete=complete.data, metavar="NAME|PATH")
@click.option("--data-path", metavar="PATH", help="Local file or folder; else a download.")
@click.option(
    "--imbalance-ratio",
    callback=read_ratio,
    metavar="R|none",
    help="Largest class over smallest; none keeps every image.",
)
@click.option(
    "--profile",
    metavar="exponential|step",
    shell_complete=complete.profiles,
    help="How the counts fall.",
)
@click.option(
    "--protocol",
    metavar="ldam|ccsam|seeded|first_n",
    shell_complete=complete.protocols,
    help="Which images are kept.",
)
@click.option("--seed", type=int, metavar="N", help="Of the protocol seeded.")
@click.option(
    "--set",
    "more",
    multiple=True,
    metavar="KEY=VALUE",
    help="Another option of the data, as in data.label_column=species; may be repeated.",
)
@click.option(
    "--duplicates",
    is_flag=True,
    help="Look for the same image in two parts of a set; reads files of the same length.",
)
@json_option
@debug_option
def describe(
    name: str,
    data_path: str | None,
    more: tuple[str, ...],
    duplicates: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the training images of each class as bars.

    NAME is a dataset (ccsam data list), with the values of its recipes unless an option says
    otherwise. PATH is a folder, list, table, JSON or npz file of your own: no image is read but
    for the headers that tell the size. Bars of your own images are on a logarithmic scale.
    """
    output = Output(as_json)
    chosen = {key: value for key, value in options.items() if value is not None}
    own = name.endswith(".npz")
    if own and data_path is not None:
        raise ValueError(
            f"An npz file has no other path: leave --data-path out. "
            f"Received: --data-path={data_path}"
        )
    settings = (*_settings(chosen, data_path), *more)
    if own:
        arrays.require(name)
    else:
        early.check_recipes(["ce"], name, settings)
    prepare(dry=True)
    with output.working():
        found = _known(name, settings, duplicates)
    output.result(lambda: data_facts.text(found), lambda: found)


def _settings(chosen: dict[str, Any], data_path: str | None) -> tuple[str, ...]:
    """The options as overrides of a recipe's data."""
    if data_path is not None:
        chosen = chosen | {"path": data_path}
    # JSON's text and numbers are TOML's.
    return tuple(f"data.{key}={json.dumps(value)}" for key, value in chosen.items())


def _known(name: str, settings: tuple[str, ...], duplicates: bool) -> dict[str, Any]:
    """The facts of a dataset, as its recipes have it; one that is a download is not fetched."""
    from keras_ccsam import recipes
    from keras_ccsam.data import DATASETS
    from keras_ccsam.runs import parts

    recipe = recipes.load("ce", data=name, overrides=settings)
    groups = parts.group_options(recipe.groups)
    info = DATASETS.get(recipe.data.name)
    shared: list[str] = []
    if info is not None and info.download and not recipe.data.path:
        outline = parts.outline_data(recipe.data)
        described, notes = outline.describe(), [outline.ratio_note, *outline.notes]
    else:
        images = parts.load_data(recipe.data)
        described, notes = images.describe(), [images.outline.ratio_note, *images.notes]
        shared = _duplicates(images) if duplicates else []
    told = [note for note in notes if note]
    found = data_facts.facts(described, told, groups, own=info is None)
    found["warnings"] += shared
    return found | {"heading": recipe.data_shown, "log": info is None}


def _duplicates(images: Any) -> list[str]:
    """What is said of the same image in two parts."""
    from keras_ccsam.data.images.files import ImageFiles
    from keras_ccsam.data.sources.duplicates import shared_content

    stores = {"train": images.x_train, "validation": images.x_validation, "test": images.x_test}
    parts = {name: store for name, store in stores.items() if store is not None}
    if not all(isinstance(store, ImageFiles) for store in parts.values()):
        raise ValueError(
            "duplicates are looked for among image files, and these images are in arrays. "
            f"Received: --duplicates of {images.source}"
        )
    found = shared_content(parts)
    return [
        f"{' and '.join(shared.parts)} share an image: {', '.join(p for _, p in shared.files)}"
        for shared in found
    ]
