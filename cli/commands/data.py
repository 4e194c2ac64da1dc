"""`ccsam data`: which datasets there are, and how long the tail of one is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from .. import arrays
from ..console import bar, say, table
from ..errors import debug_option
from ..runtime import prepare

if TYPE_CHECKING:
    from keras_ccsam.recipes.schema import Data


@click.group()
@debug_option
def command() -> None:
    """List the datasets, or show the class counts of one."""


@command.command(name="list")
@debug_option
def list_datasets() -> None:
    """List the datasets that can be loaded by name."""
    prepare()
    from keras_ccsam.data import DATASETS

    rows = [
        (name, str(info.num_classes), str(info.test_images), info.description)
        for name, info in DATASETS.items()
    ]
    right = ("classes", "test images")
    say(table(("dataset", "classes", "test images", "what it is"), rows, right=right))


@command.command()
@click.argument("name")
@click.option("--data-path", metavar="PATH", help="Local file or folder; else a download.")
@click.option("--imbalance-ratio", type=float, metavar="R", help="Largest class over smallest.")
@click.option("--profile", metavar="exponential|step", help="How the counts fall.")
@click.option("--protocol", metavar="ldam|seeded|first_n", help="Which images are kept.")
@click.option("--seed", type=int, metavar="N", help="Of the protocol seeded.")
@debug_option
def describe(name: str, data_path: str | None, **options: Any) -> None:
    """Show the training images of each class as bars.

    NAME is a dataset (ccsam data list), with the values of its recipes unless an option says
    otherwise; or an npz file of your own with images x and labels y.
    """
    prepare()
    chosen = {key: value for key, value in options.items() if value is not None}
    if name.endswith(".npz"):
        from keras_ccsam.data import from_arrays

        if data_path is not None:
            raise ValueError(
                f"An npz file has no other path: leave --data-path out. "
                f"Received: --data-path={data_path}"
            )
        images = from_arrays(**arrays.read(name), **chosen, name=name)
        groups: dict[str, Any] = {"groups": "thresholds"}
    else:
        from keras_ccsam import recipes
        from keras_ccsam.data import DATASETS
        from keras_ccsam.runs import parts

        if data_path is not None:
            chosen["path"] = data_path
        recipe = recipes.load("ce", data=name)
        recipe = recipes.Recipe.from_dict(
            recipe.to_dict() | {"data": recipe.data.model_dump() | chosen}
        )
        groups = parts.group_options(recipe.groups)
        if DATASETS[recipe.data.name].download and not recipe.data.path:
            say(_forecast(recipe.data, groups))
            return
        images = parts.load_data(recipe.data)
    facts = images.describe()
    shape = " x ".join(map(str, images.image_shape))
    head = [
        f"{images.name}: {facts['source']}",
        f"licence: {images.licence}",
        f"{facts['train']} training, {facts['validation']} validation, {facts['test']} test images "
        f"of {shape}",
        f"SHA-256 of the training indices: {images.index_sha256}",
    ]
    say(_picture(head, images.class_counts, images.class_names, groups))


def _forecast(choice: Data, groups: dict[str, Any]) -> str:
    """The counts that the profile of a set to download will give; nothing is fetched for them."""
    from keras_ccsam.data import DATASETS, profile_counts
    from keras_ccsam.data.sources.cifar import class_names

    info = DATASETS[choice.name]
    # As they come, these sets are balanced.
    ratio = 1.0 if choice.imbalance_ratio == "none" else choice.imbalance_ratio
    counts = profile_counts(info.largest_class, info.num_classes, ratio, choice.profile)
    head = [
        f"{choice.name}: {info.description}",
        "counted by its profile, the images were not read: --data-path reads them",
        f"licence: {info.licence}",
        f"{sum(counts)} training, {info.test_images} test images of "
        f"{' x '.join(map(str, info.image_shape))}",
    ]
    return _picture(head, counts, class_names(choice.name), groups)


def _picture(
    head: Sequence[str], counts: Sequence[int], class_names: Sequence[str], options: dict[str, Any]
) -> str:
    from keras_ccsam.metrics import group_classes

    groups = group_classes(counts, **options)
    group_of = {label: name for name, labels in groups.items() for label in labels}
    rows = [
        (str(label), class_names[label], str(n), group_of[label], bar(n, max(counts)))
        for label, n in enumerate(counts)
    ]
    sizes = ", ".join(f"{len(labels)} {name}" for name, labels in groups.items() if labels)
    lines = [
        *head,
        f"imbalance ratio: {max(counts)} / {min(counts)} = {max(counts) / min(counts):g}",
        f"classes: {sizes}",
        "",
        table(("class", "name", "images", "group", ""), rows, right=("class", "images")),
    ]
    return "\n".join(lines)
