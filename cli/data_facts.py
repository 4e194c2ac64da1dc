"""What `ccsam data describe` says of a dataset: its facts, and how they are drawn."""

from __future__ import annotations

import math
from typing import Any

from .console import bar

# Of more classes than this, the largest and the smallest are shown.
_ALL_SHOWN = 100
_SHOWN = 15


def facts(
    found: dict[str, Any], notes: list[str], groups: dict[str, Any], *, own: bool = False
) -> dict[str, Any]:
    """Put together what is said of a dataset.

    Args:
        found: What `describe` of the data gives.
        notes: What a user should know.
        groups: How classes are grouped, as `group_classes` takes it.
        own: Whether the images are the user's own, so that they are warned of.
    """
    from keras_ccsam.metrics import group_classes

    classes = found["classes"]
    by_group = group_classes([row["train"] for row in classes], **groups)
    group_of = {int(label): name for name, labels in by_group.items() for label in labels}
    return found | {
        "read": "index_sha256" in found,
        "note": notes[0] if notes else None,
        "notes": notes,
        "warnings": _warnings(classes, by_group) if own else [],
        "groups": {name: len(labels) for name, labels in by_group.items()},
        "classes": [row | {"group": group_of[row["label"]]} for row in classes],
    }


def _warnings(classes: list[dict[str, Any]], by_group: dict[str, Any]) -> list[str]:
    found = []
    for group in ("many", "medium", "few"):
        if not by_group.get(group):
            found.append(f"no class is in the group {group}: its accuracy will be absent")
    alone = [row["name"] for row in classes if row["train"] == 1]
    if alone:
        found.append(f"{_counted(alone)} a single image to train on: {_named(alone)}")
    untested = [row["name"] for row in classes if not row["test"]]
    if len(untested) == len(classes):
        found.append("no class has a test image: a training on it cannot be judged")
    elif untested:
        found.append(f"{_counted(untested)} no test image: {_named(untested)}")
    return found


def _counted(names: list[str]) -> str:
    return f"{len(names)} classes have" if len(names) > 1 else "1 class has"


def _named(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def text(found: dict[str, Any]) -> str:
    """Draw the facts for people."""
    from keras_ccsam.text_table import text_table

    counts = [row["train"] for row in found["classes"]]
    most, least = max(counts), min(counts)
    # Of images of one's own bars show powers of two: a hundredth of the largest is a cell, too.
    log = found.get("log", False)
    header = ("class", "name", "images", "group", "log scale" if log else "linear scale")
    rows = [
        (str(row["label"]), row["name"], str(row["train"]), row["group"], _bar(row, most, log))
        for row in _chosen(found["classes"])
    ]
    shape = " x ".join(map(str, found["image_shape"]))
    lines = [
        f"{found.get('heading', found['name'])}: {found['source']}",
        f"licence: {found['licence']}",
        f"{found['train']} training, {found['validation']} validation, {found['test']} test images "
        f"of {shape}",
    ]
    if found["read"]:
        lines.append(f"SHA-256 of the training indices: {found['index_sha256']}")
    else:
        lines.append("counted by its profile, the images were not read: --data-path reads them")
    lines.append(f"imbalance ratio: {most} / {least} = {most / least:g}")
    lines += [f"note: {note}" for note in found["notes"]]
    lines += [f"warning: {warning}" for warning in found["warnings"]]
    sizes = ", ".join(f"{n} {name}" for name, n in found["groups"].items() if n)
    lines += [f"classes: {sizes}", "", text_table(header, rows, left=("name", "group", header[4]))]
    left_out = len(found["classes"]) - len(rows)
    if left_out:
        lines.append(f"and {left_out} classes between them (--json lists all)")
    return "\n".join(lines)


def _chosen(classes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(classes) <= _ALL_SHOWN:
        return classes
    ordered = sorted(classes, key=lambda row: (-row["train"], row["label"]))
    return [*ordered[:_SHOWN], *ordered[-_SHOWN:]]


def _bar(row: dict[str, Any], most: int, log: bool) -> str:
    if not log:
        return bar(row["train"], most)
    return bar(math.log2(row["train"] + 1), math.log2(most + 1))
