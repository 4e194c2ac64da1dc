"""What somebody should know of a set before a tournament is played on it."""

from collections.abc import Mapping
from typing import Any

from keras_ccsam.data import Outline
from keras_ccsam.metrics import group_classes

FEW_HELD = 5
"""Validation images below which a class's accuracy is hardly known."""


def described(outline: Outline, groups: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts, ratio, groups and warnings as JSON types.

    Args:
        outline: of the data with its validation split.
        groups: as `group_classes` wants them.
    """
    train, held, test = outline.class_counts, outline.validation_counts, outline.test_counts
    sizes = {name: len(classes) for name, classes in group_classes(train, **groups).items()}
    whole = [n + v for n, v in zip(train, held, strict=True)]
    return {
        "name": outline.name,
        "classes": outline.num_classes,
        "image_shape": list(outline.image_shape),
        "train": sum(train),
        "validation": sum(held),
        "test": sum(test),
        "largest": max(whole),
        "smallest": min(whole),
        "ratio": max(whole) / min(whole),
        "groups": {name: size for name, size in sizes.items() if size},
        "warnings": _warnings(outline),
    }


def text(facts: Mapping[str, Any]) -> list[str]:
    """Return the facts as lines."""
    groups = ", ".join(f"{size} {name}" for name, size in facts["groups"].items())
    shape = " x ".join(map(str, facts["image_shape"]))
    test = f"{facts['test']} to test on, unseen to the end" if facts["test"] else "no test images"
    return [
        f"data       {facts['name']}: {facts['classes']} classes of {facts['largest']} to "
        f"{facts['smallest']} images ({groups}), ratio {facts['ratio']:.3g}, {shape}",
        f"images     {facts['train']} to train on, {facts['validation']} held out to choose by, "
        f"{test}",
        *(f"warning    {warning}" for warning in facts["warnings"]),
    ]


def _warnings(outline: Outline) -> list[str]:
    held = outline.validation_counts
    unjudged = [name for name, n in zip(outline.class_names, held, strict=True) if n == 0]
    hardly = [n for n in held if 0 < n < FEW_HELD]
    found = list(outline.notes)
    if unjudged:
        found.append(
            f"{_classes(len(unjudged))} a single image, which is trained on: no recipe is judged "
            f"by {_listed(unjudged)}"
        )
    if hardly:
        found.append(
            f"{_classes(len(hardly))} fewer than {FEW_HELD} validation images: what a recipe does "
            "for them is hardly known, and counts as much as every other class"
        )
    if not sum(outline.test_counts):
        found.append(
            "there are no test images: the accuracy that is told is that of the validation images "
            "the choice was made by, and so a little too good"
        )
    return found


def _classes(count: int) -> str:
    return "1 class has" if count == 1 else f"{count} classes have"


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
