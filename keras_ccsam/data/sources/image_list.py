"""Text lists `path label`, one image per line, as ImageNet-LT and Places-LT are published."""

import gzip
import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.known_lists import KnownList, known_list, named_like
from keras_ccsam.data.sources.layouts import folder_names, place
from keras_ccsam.data.sources.listing import Listing, Rows, below, number_of_classes
from keras_ccsam.data.sources.recognise import SPLITS, entries, kind_of_file, split_of_file
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part


@dataclass(frozen=True)
class _File:
    path: Path
    paths: list[str]
    labels: list[int]
    known: KnownList | None


@part("data", "list")
def load_list(
    path: str | os.PathLike[str] | None = None,
    root: own.Root = "",
    size: own.Size = "auto",
    channels: own.Channels = 3,
    test_fraction: own.TestFraction = 0.2,
    packed: own.Packed = "",
    on_error: own.OnError = "raise",
    *,
    seed: int = 0,
) -> Source:
    """Text lists of `path label`, as ImageNet-LT and Places-LT are published.

    Beside a list called `..._train.txt` the others of its set are taken as well: `..._val.txt` and
    `..._test.txt`. The published ones are recognised by their content, and their images are found
    in each of the layouts in which they are distributed.

    Args:
        path: a list, or a folder with one list per part of the set.
        root: the folder that the images' paths are below; empty: the list's own folder, or one
            above it.
        size, channels, test_fraction, packed, on_error: as `own_images` explains them.
        seed: of the test images that are held out.

    Raises:
        ValueError: names the line of the list that is wrong, or the image that is missing.
    """
    found = located(own.given(path), root)
    return own.as_source(
        found, size, channels, test_fraction, seed, packed=packed, on_error=on_error
    )


def located(path: Path, root: str = "") -> Listing:
    """A listing whose paths are those of the images on the disk.

    Raises:
        ValueError: as `load_list`; also where no image of the lists is found.
    """
    return placed(listed(path, root), path, root)


def placed(found: Listing, path: Path, root: str) -> Listing:
    """The listing with the folder and the paths that its images have on the disk.

    Args:
        found: paths as a list has them.
        path: the list, or its folder.
        root: where the user says they are; empty: beside the list, or above it.

    Raises:
        ValueError: there is no such folder, or no image of the lists is found.
    """
    folder = path if path.is_dir() else path.parent
    folder = folder.absolute()
    roots = [Path(root).expanduser()] if root else [folder, *folder.parents[:2]]
    if root and not roots[0].is_dir():
        raise ValueError(
            f"data.root is the folder that the images are below, and there is no such folder. "
            f"Received: root={root!r}"
        )
    parts = found.parts()

    def names_of(rows: Rows) -> list[str]:
        return [found.class_names[label] for label in rows.labels.tolist()]

    for candidate in roots:
        places = {
            split: place(rows.paths, names_of(rows), candidate) for split, rows in parts.items()
        }
        if places["train"] is None:
            continue
        base = candidate.absolute()
        rows_of: dict[str, Rows] = {}
        for split, rows in parts.items():
            at = places[split]
            paths = list(rows.paths)
            if at is not None:
                paths = [os.path.relpath(at[0].absolute() / p, base) for p in at[1]]
            rows_of[split] = replace(rows, paths=paths)
        return replace(
            found,
            root=base,
            train=rows_of["train"],
            validation=rows_of.get("validation"),
            test=rows_of.get("test"),
        )
    places_said = ", ".join(str(candidate) for candidate in roots)
    raise ValueError(
        f"no image of the list is found, such as {found.train.paths[0]!r}, below {places_said}. "
        f"Name the folder of the images with data.root (--set data.root=...). "
        f"Received: {found.origin}"
    )


def listed(path: Path, root: str = "") -> Listing:
    """What the lists say; no image is looked for.

    Args:
        path: a list, or a folder of lists.
        root: the folder that paths must stay below; empty: the list's own.

    Raises:
        ValueError: names the line that is wrong.
    """
    files = {split: _read(file, root) for split, file in _files(path).items()}
    train = files["train"]
    origin = f"the list {train.path}"
    num_classes = number_of_classes(train.labels, origin)
    for split, file in files.items():
        wrong = [i for i, label in enumerate(file.labels) if label >= num_classes]
        if wrong:
            raise ValueError(
                f"the {split} list has a label that is not there to train on; labels are 0 to "
                f"{num_classes - 1}. Received: label={file.labels[wrong[0]]} of "
                f"{file.paths[wrong[0]]!r} in {file.path}"
            )
    names = folder_names(train.paths, train.labels)
    rows = {s: Rows(f.paths, np.asarray(f.labels, np.int32)) for s, f in files.items()}
    return Listing(
        name=_name(train),
        root=path if path.is_dir() else path.parent,
        class_names=tuple(names or map(str, range(num_classes))),
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows.get("test"),
        origin=origin,
        notes=tuple(note for file in files.values() for note in _notes(file)),
    )


def _name(train: _File) -> str:
    if train.known is not None:
        return train.known.dataset
    stem = train.path.name.partition(".")[0]
    for spelling in SPLITS["train"]:
        stem = stem.removesuffix(spelling).rstrip("_- ") or stem
    return stem


def _notes(file: _File) -> list[str]:
    if file.known is not None:
        return [f"{file.path.name} is the published list {file.known.name}"]
    like = named_like(file.path.name)
    if like is None:
        return []
    return [
        f"{file.path.name} is called like the published list {like.name}, and its content is "
        f"another ({len(file.paths)} images; published are {like.lines})"
    ]


def _files(path: Path) -> dict[str, Path]:
    """The list of each part of a set."""
    if not path.exists():
        raise ValueError(
            f"there is no such list, nor a folder of lists. Received: path={str(path)!r}"
        )
    if path.is_file():
        found = {"train": path}
        if split_of_file(path.name) == "train":
            found |= {s: f for s, f in _beside(path).items() if s != "train"}
        return found
    files = [e.name for e in entries(path) if kind_of_file(e.name) == "list"]
    trains = [name for name in files if split_of_file(name) == "train"]
    if not trains:
        raise ValueError(
            "a folder of lists holds one whose name ends in train.txt, such as "
            f"Places_LT_train.txt. Received: path={str(path)!r} with {', '.join(files) or 'none'}"
        )
    if len(trains) > 1:
        raise ValueError(
            "the folder holds several lists to train on: name one, and those of its set are taken "
            f"with it. Received: {', '.join(trains)} in {str(path)!r}"
        )
    return _beside(path / trains[0])


def _beside(train: Path) -> dict[str, Path]:
    """A training list, and the lists of the same set beside it."""
    low = train.name.lower()
    stem = next(
        (low.rpartition(s)[0] for s in sorted(SPLITS["train"], key=len)[::-1] if s in low), low
    )
    found: dict[str, Path] = {"train": train}
    for entry in entries(train.parent):
        name = entry.name.lower()
        split = split_of_file(entry.name)
        same = split is not None and any(name.startswith(f"{stem}{s}.") for s in SPLITS[split])
        if split and split != "train" and same and kind_of_file(entry.name) == "list":
            found.setdefault(split, Path(entry.path))
    if "test" not in found and "validation" in found and _is_without_test(train):
        found["test"] = found.pop("validation")
    return found


def _is_without_test(train: Path) -> bool:
    """Whether a set has no public test part, so that the field tests on validation."""
    like = named_like(train.name)
    return like is not None and like.dataset == "inat2018"


def _read(file: Path, root: str) -> _File:
    base = Path(root).expanduser() if root else file.parent
    try:
        content = file.read_bytes()
        if file.name.lower().endswith(".gz"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ValueError(
            f"the list cannot be read: {reason.lower()}. Received: path={str(file)!r}"
        ) from None
    paths: list[str] = []
    labels: list[int] = []
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        where = f"line {number} of {file.name}"
        try:
            text = line.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise ValueError(f"{where} is no UTF-8 text. Received: line={line[:80]!r}") from None
        if not text:
            continue
        path, _, label = text.replace("\t", " ").rpartition(" ")
        if not path.strip():
            raise ValueError(
                f"{where} must be a path and a label, as in 'cats/1.jpg 0'. Received: line={text!r}"
            )
        labels.append(_label(label, where))
        paths.append(below(path, base, where))
    if not paths:
        raise ValueError(f"the list is empty. Received: path={str(file)!r}")
    return _File(file, paths, labels, known_list(content))


def _label(text: str, where: str) -> int:
    usable = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 10
    label = int(text) if usable else -1
    if label < 0:
        raise ValueError(
            f"{where} must end in a label, a whole number from 0 on. Received: label={text!r}"
        )
    return label
