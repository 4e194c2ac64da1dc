"""What a path holds: a folder of classes, lists, a table, a JSON of annotations, or arrays.

It needs the standard library alone: the command line asks it before Keras is imported.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_ENDINGS = "jpg jpeg jpe jfif png apng webp tif tiff bmp dib gif ppm pgm pbm pnm"
IMAGE_SUFFIXES = frozenset(f".{ending}" for ending in _ENDINGS.split())
"""Names of image files end like this, in any case. What a file is, decoding says."""

KINDS = {
    "folder": "one folder of images per class",
    "list": "text lists of image paths and labels",
    "inat": "JSON annotations as iNaturalist 2018 has them",
    "table": "a CSV or Parquet table of image paths and labels",
    "arrays": "NumPy arrays of images and labels",
    "huggingface": "a dataset that Hugging Face's `datasets` has saved",
}
"""What a path can hold, and what `data.name` calls it."""

SPLITS = {
    "train": ("train", "training", "trn"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "tst", "eval"),
}
"""How folders, files and tables spell the three parts of a set."""

_SUFFIXES = {
    ".txt": "list",
    ".txt.gz": "list",
    ".json": "inat",
    ".csv": "table",
    ".tsv": "table",
    ".parquet": "table",
    ".npz": "arrays",
    ".npy": "arrays",
}
# Of so many entries of a folder at most, names are asked what they are.
_LOOKED_AT = 20_000


@dataclass(frozen=True)
class Found:
    """What a path holds.

    Attributes:
        kind: one of `KINDS`.
        path: as it was given.
        said: one line for people.
    """

    kind: str
    path: Path
    said: str


def recognise(path: str | os.PathLike[str]) -> Found:
    """What a path holds, without reading an image.

    Args:
        path: a folder or a file.

    Raises:
        ValueError: there is nothing, nothing of a known kind, or things of several kinds; the
            message says what was seen, and how to say what is meant.
    """
    where = Path(path).expanduser()
    shown = os.fspath(path)
    if not shown.strip():
        raise ValueError(f"a dataset's path must not be empty. Received: data={shown!r}")
    try:
        if where.is_dir():
            return _folder(where, shown)
        is_file = where.is_file()
        exists = is_file or os.path.lexists(where)
    except OSError as error:
        raise _unreadable(shown, (error.strerror or str(error)).lower()) from None
    if not is_file:
        lack = "it is neither a file nor a folder" if exists else "there is no such file or folder"
        raise ValueError(f"{lack}. Received: data={shown!r}")
    kind = kind_of_file(where.name)
    if kind is None:
        hint = "; did you mean the folder that it lies in?" if is_image(where.name) else ""
        raise ValueError(
            "a dataset is a folder, or a file that ends in "
            f"{', '.join(_SUFFIXES)}{hint or '.'} Received: data={shown!r}"
        )
    return Found(kind, where, f"{shown}: {KINDS[kind]}")


def kind_of_file(name: str) -> str | None:
    """What a file holds by its name; None for another file."""
    low = name.lower()
    return next((kind for end, kind in _SUFFIXES.items() if low.endswith(end)), None)


def is_image(name: str) -> bool:
    """Whether a file is an image by its name."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES and not is_hidden(name)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is the system's own, as `.DS_Store` and `__MACOSX` are."""
    return name.startswith(".") or name.lower() in ("__macosx", "thumbs.db", "desktop.ini")


def split_of(name: str) -> str | None:
    """Which part of a set a folder or a value names: "train", "validation" or "test"."""
    low = name.strip().lower()
    return next((split for split, spellings in SPLITS.items() if low in spellings), None)


def split_of_file(name: str) -> str | None:
    """Which part a file is of by its name, as in `ImageNet_LT_train.txt` and `val2018.json`."""
    stem = name.lower().partition(".")[0].rstrip("0123456789")
    words = stem.replace("-", "_").replace(" ", "_").split("_")
    found = [split for split in map(split_of, words) if split]
    # iNaturalist's files are called train2018, and its images lie in train_val2018.
    return found[-1] if found else None


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, sorted by name, without the system's own files.

    Raises:
        ValueError: the folder may not be read.
    """
    try:
        with os.scandir(folder) as found:
            there = [entry for entry in found if not is_hidden(entry.name)]
    except OSError as error:
        raise _unreadable(str(folder), (error.strerror or str(error)).lower()) from None
    return sorted(there, key=lambda entry: entry.name)


def _unreadable(shown: str, reason: str) -> ValueError:
    return ValueError(f"the dataset cannot be read: {reason}. Received: data={shown!r}")


def _folder(where: Path, shown: str) -> Found:
    there = entries(where)
    folders = [entry.name for entry in there if entry.is_dir()]
    files = [entry.name for entry in there if not entry.is_dir()]
    holding = _holding(where, folders, files)
    if not holding:
        raise ValueError(f"{_seen(where, folders, files)} Received: data={shown!r}")
    if len(holding) > 1:
        both = ", or ".join(f"{kind!r} ({why})" for kind, why in holding.items())
        raise ValueError(
            f"the folder can be read in several ways: as {both}. Say which: name the file, or "
            f"take --data KIND --data-path {shown} (in a recipe data.name and data.path). "
            f"Received: data={shown!r}"
        )
    kind, why = next(iter(holding.items()))
    return Found(kind, where, f"{shown}: {KINDS[kind]} ({why})")


def _holding(where: Path, folders: list[str], files: list[str]) -> dict[str, str]:
    """The kinds that a folder may be read as, and why."""
    if "dataset_info.json" in files or "dataset_dict.json" in files:
        return {"huggingface": "dataset_info.json or dataset_dict.json"}
    found: dict[str, str] = {}
    arrays = [name for name in files if name.endswith(".npy")]
    if {"x_train.npy", "y_train.npy"} <= set(arrays) or {"x.npy", "y.npy"} <= set(arrays):
        found["arrays"] = ", ".join(arrays[:4])
    named = {
        "list": [name for name in files if kind_of_file(name) == "list"],
        "inat": [name for name in files if kind_of_file(name) == "inat"],
        "table": [name for name in files if kind_of_file(name) == "table"],
    }
    for kind, names in named.items():
        # A README.txt is no list: one of several parts of a set, or a single table, is.
        usable = [name for name in names if split_of_file(name) == "train"]
        if not usable and kind == "table" and len(names) == 1:
            usable = names
        if usable:
            found[kind] = ", ".join(usable[:4])
    if found:
        # Where lists or a table say what lies in the folders beside them, they are meant.
        return found
    classes = [name for name in folders if holds_images(where / name)]
    if classes:
        parts = [name for name in classes if split_of(name)]
        shown = ", ".join([*classes[:4], "..."] if len(classes) > 4 else classes)
        found["folder"] = shown if not parts else f"the parts {', '.join(parts)}"
    return found


def holds_images(folder: Path) -> bool:
    """Whether there is an image in a folder or below it; links to folders are not followed."""
    return next(_images_below(folder), None) is not None


def _images_below(folder: Path) -> Iterator[str]:
    looked = 0
    for _, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from filter(is_image, files)
        looked += len(files)
        if looked > _LOOKED_AT:
            return


def _seen(where: Path, folders: list[str], files: list[str]) -> str:
    """Why a folder is no dataset, and what it holds."""
    images = sum(map(is_image, files))
    if images and not folders:
        return (
            f"the folder holds {images} images and no folders: the classes are not told. Put the "
            "images of each class into a folder of its own, or name a list or a table of them."
        )
    if not folders and not files:
        return "the folder is empty."
    cifar = [name for name in folders if name.startswith("cifar-")]
    if cifar or "data_batch_1" in files:
        return "this looks like CIFAR: take --data cifar10-lt --data-path with this folder."
    shown = [f"{name}/" for name in folders[:4]] + files[:4]
    more = len(folders) + len(files) - len(shown)
    names = ", ".join(shown) + (f" and {more} more" if more > 0 else "")
    return (
        f"the folder is no dataset that is known here: it holds {names}. Known are "
        f"{'; '.join(f'{kind} ({what})' for kind, what in KINDS.items())}."
    )
