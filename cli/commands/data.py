"""`ccsam data`: which datasets there are, and how long the tail of one is."""

from __future__ import annotations

import json
from typing import Any

import click

from .. import arrays, complete, early
from ..console import bar
from ..errors import debug_option
from ..options import read_ratio
from ..output import Output, json_option
from ..runtime import prepare


@click.group()
@debug_option
def command() -> None:
    """List the datasets, or show the class counts of one."""


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
        lambda: [dict(zip(keys, row, strict=True)) for row in rows],
    )


def _datasets() -> list[tuple[str, int, int, str, int, str]]:
    """What `--data` takes: each dataset, and below it the settings of it."""
    from keras_ccsam import recipes
    from keras_ccsam.data import DATASETS

    settings = [recipes.load("ce", data=name) for name in recipes.settings()]
    return [
        (
            found.setting,
            info.num_classes,
            info.test_images,
            found.to_dict()["model"]["backbone"]["name"],
            found.stage1.epochs,
            info.description if found.setting == name else f"{name} at a scale for CPUs",
        )
        for name, info in DATASETS.items()
        for found in settings
        if found.data.name == name
    ]


@command.command()
@click.argument("name", shell_complete=complete.data)
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
    metavar="ldam|seeded|first_n",
    shell_complete=complete.protocols,
    help="Which images are kept.",
)
@click.option("--seed", type=int, metavar="N", help="Of the protocol seeded.")
@json_option
@debug_option
def describe(name: str, data_path: str | None, as_json: bool, **options: Any) -> None:
    """Show the training images of each class as bars.

    NAME is a dataset (ccsam data list), with the values of its recipes unless an option says
    otherwise; or an npz file of your own with images x and labels y.
    """
    output = Output(as_json)
    chosen = {key: value for key, value in options.items() if value is not None}
    own = name.endswith(".npz")
    if own and data_path is not None:
        raise ValueError(
            f"An npz file has no other path: leave --data-path out. "
            f"Received: --data-path={data_path}"
        )
    if own:
        arrays.require(name)
    else:
        settings = _settings(chosen, data_path)
        early.check_recipes(["ce"], name, settings)
    prepare(dry=True)
    with output.working():
        facts = _own(name, chosen) if own else _known(name, settings)
    output.result(lambda: _text(facts), lambda: facts)


def _own(name: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """The facts of a file of one's own."""
    from keras_ccsam.data import from_arrays

    if chosen.get("imbalance_ratio") == "none":
        chosen = chosen | {"imbalance_ratio": None}
    images = from_arrays(**arrays.read(name), **chosen, name=name)
    return _facts(images.describe(), images.outline.ratio_note, {"groups": "thresholds"})


def _settings(chosen: dict[str, Any], data_path: str | None) -> tuple[str, ...]:
    """The options as overrides of a recipe's data."""
    if data_path is not None:
        chosen = chosen | {"path": data_path}
    # JSON's text and numbers are TOML's.
    return tuple(f"data.{key}={json.dumps(value)}" for key, value in chosen.items())


def _known(name: str, settings: tuple[str, ...]) -> dict[str, Any]:
    """The facts of a dataset, as its recipes have it; one that is a download is not fetched."""
    from keras_ccsam import recipes
    from keras_ccsam.data import DATASETS
    from keras_ccsam.runs import parts

    recipe = recipes.load("ce", data=name, overrides=settings)
    groups = parts.group_options(recipe.groups)
    if DATASETS[recipe.data.name].download and not recipe.data.path:
        outline = parts.outline_data(recipe.data)
        described, note = outline.describe(), outline.ratio_note
    else:
        images = parts.load_data(recipe.data)
        described, note = images.describe(), images.outline.ratio_note
    return _facts(described, note, groups) | {"heading": recipe.data_shown}


def _facts(found: dict[str, Any], note: str | None, groups: dict[str, Any]) -> dict[str, Any]:
    from keras_ccsam.metrics import group_classes

    classes = found["classes"]
    by_group = group_classes([row["train"] for row in classes], **groups)
    group_of = {int(label): name for name, labels in by_group.items() for label in labels}
    return found | {
        "read": "index_sha256" in found,
        "note": note,
        "groups": {name: len(labels) for name, labels in by_group.items()},
        "classes": [row | {"group": group_of[row["label"]]} for row in classes],
    }


def _text(facts: dict[str, Any]) -> str:
    from keras_ccsam.text_table import text_table

    counts = [row["train"] for row in facts["classes"]]
    most, least = max(counts), min(counts)
    header = ("class", "name", "images", "group", "")
    rows = [
        (str(row["label"]), row["name"], str(row["train"]), row["group"], bar(row["train"], most))
        for row in facts["classes"]
    ]
    lines = [
        f"{facts.get('heading', facts['name'])}: {facts['source']}",
        f"licence: {facts['licence']}",
        f"{facts['train']} training, {facts['validation']} validation, {facts['test']} test images "
        f"of {' x '.join(map(str, facts['image_shape']))}",
    ]
    if facts["read"]:
        lines.append(f"SHA-256 of the training indices: {facts['index_sha256']}")
    else:
        lines.append("counted by its profile, the images were not read: --data-path reads them")
    lines.append(f"imbalance ratio: {most} / {least} = {most / least:g}")
    lines += [f"note: {facts['note']}"] if facts["note"] else []
    sizes = ", ".join(f"{n} {name}" for name, n in facts["groups"].items() if n)
    lines += [f"classes: {sizes}", "", text_table(header, rows, left=("name", "group", ""))]
    return "\n".join(lines)
