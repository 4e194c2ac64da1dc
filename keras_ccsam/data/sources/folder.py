"""One folder of images per class, with the parts `train`, `val` and `test` above them or not."""

import os
from pathlib import Path

import numpy as np

from keras_ccsam.data.sources import own_images as own
from keras_ccsam.data.sources.listing import Listing, Rows
from keras_ccsam.data.sources.recognise import entries, holds_images, is_hidden, is_image, split_of
from keras_ccsam.data.sources.source import Source
from keras_ccsam.declare import part

_Found = dict[str, list[str]]


@part("data", "folder")
def load_folder(
    path: str | os.PathLike[str] | None = None,
    size: own.Size = "auto",
    channels: own.Channels = 3,
    test_fraction: own.TestFraction = 0.2,
    packed: own.Packed = "",
    on_error: own.OnError = "raise",
    *,
    seed: int = 0,
) -> Source:
    """One folder of images per class.

    The classes are the folders' names, sorted; images lie in a class's folder or below it. Where
    there are folders `train`, `val` and `test` (or `training`, `valid`, `testing`, ...), the
    classes are inside them, and these are the parts of the set.

    Args:
        path: the folder.
        size, channels, test_fraction, packed, on_error: as `own_images` explains them.
        seed: of the test images that are held out.

    Raises:
        ValueError: no such folder, an empty class, a single one, or images whose class no folder
            tells.
    """
    return own.as_source(
        listed(own.given(path)),
        size,
        channels,
        test_fraction,
        seed,
        packed=packed,
        on_error=on_error,
    )


def listed(root: Path) -> Listing:
    """The image files of a folder by class; no image is opened.

    Raises:
        ValueError: as `load_folder`.
    """
    if not root.is_dir():
        lack = "it is a file" if root.exists() else "there is no such folder"
        raise ValueError(
            f"the source 'folder' takes a folder of one folder per class: {lack}. "
            f"Received: path={str(root)!r}"
        )
    there = [entry.name for entry in entries(root) if entry.is_dir()]
    splits = {name: split for name in there if (split := split_of(name))}
    notes: list[str] = []
    if splits and holds_class_folders(root, splits):
        parts = _parts(root, there, splits, notes)
    else:
        parts = {"train": _classes(root, root, notes)}
    names = tuple(sorted(parts["train"]))
    for split, found in parts.items():
        unknown = sorted(set(found) - set(names))
        if unknown:
            raise ValueError(
                f"the {split} part has a class that is not there to train on. Received: "
                f"class={unknown[0]!r} in {str(root)!r}"
            )
    _check_classes(root, parts["train"], names)
    rows = {split: _rows(found, names) for split, found in parts.items()}
    return Listing(
        name=root.resolve().name or "images",
        root=root,
        class_names=names,
        train=rows["train"],
        validation=rows.get("validation"),
        test=rows.get("test"),
        origin=f"the folder {root}",
        notes=tuple(notes),
    )


def holds_class_folders(root: Path, splits: dict[str, str]) -> bool:
    """Whether folders that are spelled like parts of a set have folders of images inside."""
    return any(
        entry.is_dir() and holds_images(Path(entry.path))
        for name in splits
        for entry in entries(root / name)
    )


def _parts(
    root: Path, there: list[str], splits: dict[str, str], notes: list[str]
) -> dict[str, _Found]:
    """The classes of each part of a set that has parts."""
    found: dict[str, _Found] = {}
    for name, split in splits.items():
        if split in found:
            raise ValueError(
                f"two folders may both be the {split} part: leave one. "
                f"Received: {', '.join(n for n, s in splits.items() if s == split)} in {root}"
            )
        found[split] = _classes(root / name, root, notes)
    others = [n for n in there if n not in splits and holds_images(root / n)]
    if others:
        raise ValueError(
            f"beside the parts {', '.join(splits)} there are other folders with images, which are "
            "in no part: move them away, or into a part. "
            f"Received: {', '.join(others[:5])} in {str(root)!r}"
        )
    if "train" not in found:
        raise ValueError(
            "there is no part to train on: name a folder 'train'. "
            f"Received: {', '.join(splits)} in {str(root)!r}"
        )
    return found


def _classes(folder: Path, root: Path, notes: list[str]) -> _Found:
    """The images of each class's folder, as paths below `root`."""
    loose = [e.name for e in entries(folder) if not e.is_dir() and is_image(e.name)]
    found = {
        _class_name(entry.name): _images(Path(entry.path), root, notes)
        for entry in entries(folder)
        if entry.is_dir()
    }
    if hidden := _hidden_classes(folder):
        notes.append(
            f"the folder {hidden[0]}{_and_more(len(hidden))} in {folder.name} holds images and is "
            "hidden by its name: left out"
        )
    if loose:
        raise ValueError(
            f"an image lies beside the folders of the classes, so that its class is not told. "
            f"Received: {loose[0]!r}{_and_more(len(loose))} in {str(folder)!r}"
        )
    if not found:
        raise ValueError(
            f"there is no folder of a class. Received: path={str(folder)!r}, which holds none"
        )
    return found


def _hidden_classes(folder: Path) -> list[str]:
    """Folders that begin with a dot and hold images, as one may by mistake."""
    try:
        there = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    except OSError:
        return []
    return [name for name in there if name.startswith(".") and holds_images(folder / name)]


def _class_name(folder: str) -> str:
    """A folder's name as text: bytes that are no UTF-8 are written `\\xe9`, for files keep text."""
    return os.fsencode(folder).decode("utf-8", "backslashreplace")


def _images(folder: Path, root: Path, notes: list[str]) -> list[str]:
    """The image files in a class's folder and below it, sorted; others are noted."""
    found: list[str] = []
    others: list[str] = []

    def refuse(error: OSError) -> None:
        raise ValueError(
            f"a folder cannot be read: {(error.strerror or str(error)).lower()}. "
            f"Received: path={str(error.filename)!r}"
        )

    for place, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        relative = os.path.relpath(place, root)
        for name in sorted(files):
            if is_image(name):
                found.append(os.path.join(relative, name))
            elif not is_hidden(name):
                others.append(os.path.join(relative, name))
    if others:
        notes.append(f"{others[0]}{_and_more(len(others))} is no image by its name: left out")
    return found


def _and_more(count: int) -> str:
    return f" and {count - 1} more" if count > 1 else ""


def _check_classes(root: Path, found: _Found, names: tuple[str, ...]) -> None:
    empty = [name for name in names if not found[name]]
    if empty:
        raise ValueError(
            f"the folder of a class holds no image: fill it, or take it away. Received: "
            f"class={empty[0]!r}{_and_more(len(empty))} in {str(root)!r}"
        )
    if len(names) > 1:
        return
    inside = sorted({path.split(os.sep)[-2] for path in found[names[0]]} - {names[0]})
    hint = f"; did you mean the folder {str(root / names[0])!r}?" if len(inside) > 1 else "."
    raise ValueError(
        f"a classifier needs two classes at least, and there is one folder, {names[0]!r}{hint} "
        f"Received: path={str(root)!r}"
    )


def _rows(found: _Found, names: tuple[str, ...]) -> Rows:
    paths = [path for name in names for path in found.get(name, ())]
    counts = [len(found.get(name, ())) for name in names]
    return Rows(paths, np.repeat(np.arange(len(names), dtype=np.int32), counts))
