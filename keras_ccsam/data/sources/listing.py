"""Labelled image files before the first image is read: what folders, lists and tables come to."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from keras_ccsam.checks import shortened
from keras_ccsam.data.sources.source import Labels

# Of so many wrong things at most, an error shows the names.
_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Rows:
    """Image files of one part of a set.

    Attributes:
        paths: as the origin has them, below the root.
        labels: classes (N,), int32.
        weights: of the samples (N,), float32; None: all count the same.
        groups: of the samples (N,), such as patients; None where each stands for itself.
    """

    paths: Sequence[str]
    labels: Labels
    weights: NDArray[np.float32] | None = None
    groups: NDArray[Any] | None = None

    def __len__(self) -> int:
        """The number of images."""
        return len(self.paths)

    def take(self, rows: NDArray[np.int64]) -> "Rows":
        """Some of the rows, in that order."""
        return Rows(
            [self.paths[row] for row in rows.tolist()],
            self.labels[rows],
            None if self.weights is None else self.weights[rows],
            None if self.groups is None else self.groups[rows],
        )


@dataclass(frozen=True, eq=False)
class Listing:
    """A set of image files whose classes are known, and nothing of its pixels.

    Attributes:
        name: of the set.
        root: the folder that the paths are below.
        class_names: one per class.
        train, validation, test: the parts that the origin has.
        origin: where the files were found, in words.
        notes: what a user should know.
        licence: terms of the images, and whom to cite.
    """

    name: str
    root: Path
    class_names: tuple[str, ...]
    train: Rows
    validation: Rows | None = None
    test: Rows | None = None
    origin: str = ""
    notes: tuple[str, ...] = field(default_factory=tuple)
    licence: str = "the owner's"

    def parts(self) -> dict[str, Rows]:
        """The parts that there are, by name."""
        every = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: rows for name, rows in every.items() if rows is not None}


def below(path: str, root: Path, where: str) -> str:
    """A path of a list or a table, as one below the root.

    Args:
        path: as the file has it; slashes of either kind.
        root: the folder of the images.
        where: what names the place in a message, such as "line 3 of birds.txt".

    Raises:
        ValueError: the path is empty or leaves the root.
    """
    text = path.strip()
    if not text or "\0" in text:
        raise ValueError(f"{where} names no image. Received: path={path!r}")
    if "\\" in text and "/" not in text:
        text = text.replace("\\", "/")
    if not os.path.isabs(text) and not os.path.splitdrive(text)[0]:
        relative = os.path.normpath(text)
    else:
        relative = os.path.relpath(os.path.normpath(text), root.absolute())
    if relative == os.pardir or relative.startswith(os.pardir + os.sep):
        raise ValueError(
            f"{where} names a file outside the images' folder {str(root)!r}; say which folder they "
            f"are in, with data.root. Received: path={path!r}"
        )
    return relative


def check_labels_there(labels: Labels, class_names: Sequence[str], origin: str) -> None:
    """Refuses a part for training with a class that has no image, or of one class alone.

    Raises:
        ValueError: names the classes.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    empty = np.flatnonzero(counts == 0)
    if len(empty):
        names = ", ".join(f"{label} ({class_names[label]})" for label in empty[:_SHOWN].tolist())
        more = f" and {len(empty) - _SHOWN} more" if len(empty) > _SHOWN else ""
        raise ValueError(
            f"every class needs an image to train on; there is none of class {names}{more}. "
            f"Received: {origin}, counts={shortened(counts.tolist())}"
        )
    if len(class_names) < 2:
        raise ValueError(
            f"a classifier needs two classes at least, and there is one, {class_names[0]!r}. "
            f"Received: {origin}"
        )


def number_of_classes(labels: Iterable[int], origin: str) -> int:
    """One more than the largest label, where none below it is missing.

    Args:
        labels: at least 0, one at least.
        origin: of the labels, for the message.

    Raises:
        ValueError: labels are missing, as of a file that counts from 1.
    """
    there = set(labels)
    largest = max(there)
    if len(there) == largest + 1:
        return largest + 1
    if min(there) > 0 and len(there) == largest - min(there) + 1:
        raise ValueError(
            f"labels must begin at 0, and these begin at {min(there)}: subtract {min(there)} from "
            f"each. Received: {origin}"
        )
    first = next(label for label in range(largest) if label not in there)
    raise ValueError(
        f"labels must be 0, 1, 2, ... without a gap: {len(there)} different ones reach up to "
        f"{largest}, and {first} is the first that is missing. Received: {origin}"
    )


def check_repeated(parts: dict[str, Rows]) -> tuple[str, ...]:
    """Refuses a file with two labels, or in two parts of a set.

    Returns:
        Notes: how many rows of a part repeat others.

    Raises:
        ValueError: names the file.
    """
    first: dict[str, tuple[str, int]] = {}
    repeated: dict[str, int] = {}
    for split, rows in parts.items():
        for path, label in zip(rows.paths, rows.labels.tolist(), strict=True):
            before = first.setdefault(path, (split, label))
            if before == (split, label):
                continue
            if before[0] != split:
                raise ValueError(
                    f"one image must not be in two parts of a set, and this one is in {before[0]} "
                    f"and in {split}. Received: path={path!r}"
                )
            raise ValueError(
                f"an image has one class, and this one is listed with {before[1]} and {label}. "
                f"Received: path={path!r}"
            )
        if len(rows) > (distinct := len(set(rows.paths))):
            repeated[split] = len(rows) - distinct
    return tuple(
        f"1 row of the {split} part repeats another"
        if n == 1
        else f"{n} rows of the {split} part repeat others"
        for split, n in repeated.items()
    )


def check_files(listing: Listing, option: str = "data.root") -> None:
    """Refuses a listing with a file that does not exist; each folder is looked into once.

    Args:
        listing: what is listed.
        option: what names the images' folder.

    Raises:
        ValueError: names the first file and says how many are missing.
    """
    known: dict[str, frozenset[str]] = {}
    missing: list[str] = []
    total = 0
    for rows in listing.parts().values():
        total += len(rows)
        for path in rows.paths:
            folder, name = os.path.split(path)
            if folder not in known:
                known[folder] = _names(listing.root / folder)
            if name not in known[folder]:
                missing.append(path)
    if missing:
        near = _same_but_case(listing.root, missing[0])
        hint = f" (there is {near!r})" if near else ""
        raise ValueError(
            f"there is no such file: {missing[0]!r} in {str(listing.root)!r}{hint}; "
            f"{len(missing)} of {total} are missing. If they lie elsewhere, {option} names the "
            f"folder. Received: {listing.origin}"
        )


def _names(folder: Path) -> frozenset[str]:
    try:
        with os.scandir(folder) as found:
            return frozenset(entry.name for entry in found if not entry.is_dir())
    except OSError:
        return frozenset()


def _same_but_case(root: Path, path: str) -> str | None:
    folder, name = os.path.split(path)
    names = _names(root / folder)
    return next((other for other in sorted(names) if other.lower() == name.lower()), None)
