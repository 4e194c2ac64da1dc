"""A CSV or Parquet table: one row per image, with its path, its label, and more if it likes."""

import math
import os
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.listing import Listing, Rows, below, number_of_classes
from keras_ccsam.data.sources.recognise import SPLITS, entries, kind_of_file, split_of
from keras_ccsam.data.sources.source import Source
from keras_ccsam.data.sources.table_columns import Columns, column, read_columns, row_name
from keras_ccsam.declare import part

_USUAL = "; empty: as it is usually called"
PathColumn: TypeAlias = Annotated[str, Field(description=f"column of the images' paths{_USUAL}")]
LabelColumn: TypeAlias = Annotated[str, Field(description=f"column of the classes{_USUAL}")]
SplitColumn: TypeAlias = Annotated[
    str, Field(description=f"column that says train, val or test{_USUAL}, if there is one")
]
GroupColumn: TypeAlias = Annotated[
    str,
    Field(description=f"column of what stays on one side of a split, as patients do{_USUAL}"),
]
WeightColumn: TypeAlias = Annotated[
    str,
    Field(
        description="column of what each image to train on weighs in the loss; empty: all the same"
    ),
]
Meaning: TypeAlias = Annotated[
    Literal["auto", "numbers", "names"],
    Field(
        description="what the labels are: numbers 0, 1, 2, ... or names, which are sorted; "
        '"auto": numbers, where all are whole'
    ),
]


@part("data", "table")
def load_table(
    path: str | os.PathLike[str] | None = None,
    root: own.Root = "",
    path_column: PathColumn = "",
    label_column: LabelColumn = "",
    split_column: SplitColumn = "",
    group_column: GroupColumn = "",
    weight_column: WeightColumn = "",
    labels: Meaning = "auto",
    size: own.Size = "auto",
    channels: own.Channels = 3,
    test_fraction: own.TestFraction = 0.2,
    packed: own.Packed = "",
    on_error: own.OnError = "raise",
    *,
    seed: int = 0,
) -> Source:
    """A CSV or Parquet table of image paths and labels.

    Args:
        path: the table, or a folder that holds one.
        root: the folder that the images' paths are below; empty: the table's own, or a folder
            `images` in it.
        path_column, label_column, split_column, group_column: the columns' names; empty: as they
            are usually called.
        weight_column: of what each image to train on weighs in the loss of both stages
            (`LongTailedData.weights`); those of other parts count alike. Empty: all the same.
        labels: "numbers", "names" or "auto".
        size, channels, test_fraction, packed, on_error: as `own_images` explains them.
        seed: of the test images that are held out, whole groups where there is a column of them.

    Raises:
        ValueError: names the row that is wrong, or the image that is missing.
    """
    found = listed(
        own.given(path),
        root,
        path_column=path_column,
        label_column=label_column,
        split_column=split_column,
        group_column=group_column,
        weight_column=weight_column,
        labels=labels,
    )
    return own.as_source(
        found, size, channels, test_fraction, seed, packed=packed, on_error=on_error
    )


def listed(path: Path, root: str = "", *, labels: Meaning = "auto", **named: str) -> Listing:
    """What the table says; no image is looked for.

    Args:
        path: the table, or a folder that holds one.
        root, labels, **named: as in `load_table`.

    Raises:
        ValueError: names the row that is wrong.
    """
    file = _file(path)
    columns = read_columns(file)
    roles = ("path", "label", "split", "group", "weight")
    chosen = {role: column(columns, role, named.get(f"{role}_column", ""), file) for role in roles}
    folder = _root(file, root)
    paths = _paths(columns, chosen, file, folder)
    splits = _splits(columns, chosen, file)
    of_label = _taken(columns, chosen["label"])
    check_all_there(of_label, "label", file)
    classes, names = _classes(of_label, labels, splits, file)
    weights = _weights(columns, chosen["weight"], file)
    groups = _groups(columns, chosen["group"], file)
    parts: dict[str, Rows] = {}
    every = Rows(paths, classes, weights, groups)
    for split in SPLITS:
        rows = np.flatnonzero(splits == split).astype(np.int64)
        if len(rows):
            parts[split] = every.take(rows)
    if "train" not in parts:
        raise ValueError(
            "no row of the table is there to train on. Received: "
            f"{', '.join(sorted(set(splits.tolist())))} in the column {chosen['split']!r}"
        )
    _check_groups(parts)
    used = ", ".join(f"{role} {name!r}" for role, name in chosen.items() if name is not None)
    return Listing(
        name=file.stem,
        root=folder,
        class_names=names,
        train=parts["train"],
        validation=parts.get("validation"),
        test=parts.get("test"),
        origin=f"the table {file}",
        notes=(f"columns taken: {used}", *_weight_note(parts["train"].weights, chosen["weight"])),
    )


def _weight_note(weights: NDArray[np.float32] | None, name: str | None) -> tuple[str, ...]:
    if weights is None:
        return ()
    return (
        f"each image to train on weighs in the loss what the column {name!r} says, "
        f"{weights.min():g} to {weights.max():g}",
    )


def check_all_there(values: list[Any], role: str, file: Path) -> None:
    """Refuses a column with an empty cell, or NaN.

    Raises:
        ValueError: names the row.
    """
    for row, value in enumerate(values):
        empty = value is None or (isinstance(value, str) and not value.strip())
        if empty or (isinstance(value, float) and math.isnan(value)):
            raise ValueError(f"{row_name(file, row)} has no {role}. Received: {role}={value!r}")


def _file(path: Path) -> Path:
    if not path.is_dir():
        if not path.exists():
            raise ValueError(f"there is no such table. Received: path={str(path)!r}")
        return path
    tables = [e.name for e in entries(path) if kind_of_file(e.name) == "table"]
    if len(tables) != 1:
        raise ValueError(
            "a folder must hold one table, or the table be named. Received: "
            f"path={str(path)!r} with {', '.join(tables) or 'none'}"
        )
    return path / tables[0]


def _root(file: Path, root: str) -> Path:
    if not root:
        return file.parent.absolute()
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise ValueError(
            "data.root is the folder that the images are below, and there is no such folder. "
            f"Received: root={root!r}"
        )
    return folder.absolute()


def _taken(columns: Columns, name: str | None) -> list[Any]:
    return columns[name] if name is not None else []


def _paths(columns: Columns, chosen: dict[str, str | None], file: Path, root: Path) -> list[str]:
    values = _taken(columns, chosen["path"])
    check_all_there(values, "path", file)
    return [below(str(text), root, row_name(file, row)) for row, text in enumerate(values)]


def _splits(columns: Columns, chosen: dict[str, str | None], file: Path) -> NDArray[Any]:
    """The part that each row is of."""
    count = len(_taken(columns, chosen["path"]))
    if chosen["split"] is None:
        return np.full(count, "train", dtype=object)
    found = []
    for row, value in enumerate(_taken(columns, chosen["split"])):
        split = split_of(str(value))
        if split is None:
            raise ValueError(
                f"{row_name(file, row)} must say train, val or test in the column "
                f"{chosen['split']!r}. Received: split={value!r}"
            )
        found.append(split)
    return np.asarray(found, dtype=object)


def _classes(
    values: list[Any], meaning: str, splits: NDArray[Any], file: Path
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """The class of each row, and the classes' names."""
    numbers = [_whole(value) for value in values]
    wrong = next((row for row, number in enumerate(numbers) if number is None), None)
    if meaning == "numbers" and wrong is not None:
        raise ValueError(
            f"{row_name(file, wrong)} must have a whole number from 0 on as its label, or "
            f'data.labels be "names". Received: label={values[wrong]!r}'
        )
    of_train = [row for row, split in enumerate(splits.tolist()) if split == "train"]
    if meaning == "names" or wrong is not None:
        names = sorted({str(values[row]) for row in of_train})
        numbered = {name: label for label, name in enumerate(names)}
        found = [numbered.get(str(value), -1) for value in values]
    else:
        whole = [-1 if number is None else number for number in numbers]
        negative = next((row for row, number in enumerate(whole) if number < 0), None)
        if negative is not None:
            raise ValueError(
                f"{row_name(file, negative)} must have a label of at least 0. "
                f"Received: label={values[negative]!r}"
            )
        origin = f'the table {file} (data.labels="names" takes the numbers as names)'
        count = number_of_classes([whole[row] for row in of_train], origin) if of_train else 0
        names = [str(label) for label in range(count)]
        found = [number if number < count else -1 for number in whole]
    unknown = next((row for row, label in enumerate(found) if label < 0), None)
    if unknown is not None and of_train:
        raise ValueError(
            f"{row_name(file, unknown)} has a class that is not there to train on. "
            f"Received: label={values[unknown]!r}"
        )
    return np.asarray(found, dtype=np.int32), tuple(names)


def _whole(value: Any) -> int | None:
    """A label as a whole number; None where it is none."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    text = str(value).strip()
    usable = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 10
    # "007" is a name.
    return int(text) if usable and str(int(text)) == text else None


def _weights(columns: Columns, name: str | None, file: Path) -> NDArray[np.float32] | None:
    if name is None:
        return None
    found = []
    for row, value in enumerate(columns[name]):
        try:
            weight = float(value)
        except (TypeError, ValueError):
            weight = math.nan
        if not (math.isfinite(weight) and weight >= 0):
            raise ValueError(
                f"{row_name(file, row)} must have a weight of at least 0. Received: "
                f"weight={value!r}"
            )
        found.append(weight)
    return np.asarray(found, dtype=np.float32)


def _groups(columns: Columns, name: str | None, file: Path) -> NDArray[Any] | None:
    if name is None:
        return None
    check_all_there(columns[name], "group", file)
    return np.asarray([str(value) for value in columns[name]])


def _check_groups(parts: dict[str, Rows]) -> None:
    """Refuses a group in two parts of a set."""
    at: dict[str, str] = {}
    for split, rows in parts.items():
        for group in set() if rows.groups is None else set(rows.groups.tolist()):
            if at.setdefault(group, split) != split:
                raise ValueError(
                    f"a group must be in one part of a set, and this one is in {at[group]} and in "
                    f"{split}; leave the column out (data.group_column) or mend the split. "
                    f"Received: group={group!r}"
                )
