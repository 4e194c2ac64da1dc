"""Where images of the published lists lie: lists and folders of several layouts go together.

The same images are distributed in different folders, and lists written for one are used with
another. Places-LT: `train/<class-with-hyphens>/x.jpg` and `val/<class>/x.jpg`, or the 256-pixel
archive's `data_256/<letter>/<class>/<sub>/x.jpg` and `val_256/x.jpg`; ImageNet:
`val/<wnid>/x.JPEG`, or all of them in `val`.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

Rewritten = Callable[[str, str], str | None]
"""Of a path of a list and the name of its class: the path in another layout, or None."""

# Folders between a root that users name and the paths of a list.
_INSIDE = (
    "",
    "ILSVRC/Data/CLS-LOC",
    "Data/CLS-LOC",
    "imagenet",
    "images",
    "places365_standard",
    "places",
)
# Of so many paths, spread over the list, the layout is told.
_ASKED = 20


def place(
    paths: Sequence[str], classes: Sequence[str], root: Path
) -> tuple[Path, list[str]] | None:
    """The folder that a list's images are below, and their paths there.

    Args:
        paths: of a list, one at least.
        classes: the name of each one's class.
        root: the folder to look in.

    Returns:
        None where nothing of the list is found in any known layout.
    """
    step = max(1, len(paths) // _ASKED)
    asked = list(zip(paths, classes, strict=True))[::step][:_ASKED]
    best: tuple[int, Path, Rewritten] | None = None
    for folder in _candidates(root):
        for rewritten in LAYOUTS:
            others = [rewritten(path, name) for path, name in asked]
            there = sum(other is not None and os.path.isfile(folder / other) for other in others)
            if there and (best is None or there > best[0]):
                best = (there, folder, rewritten)
            if there == len(asked):
                break
    if best is None:
        return None
    _, folder, rewritten = best
    every = zip(paths, classes, strict=True)
    return folder, [rewritten(path, name) or path for path, name in every]


def _candidates(root: Path) -> Iterator[Path]:
    for inside in _INSIDE:
        folder = root / inside if inside else root
        if folder.is_dir():
            yield folder


def _as_listed(path: str, name: str) -> str | None:
    return path


def _flat_validation(path: str, name: str) -> str | None:
    """ImageNet's `val/<wnid>/x.JPEG` in one folder, and Places' in `val_256`."""
    first, *folders, file = path.split("/")
    return f"{first}/{file}" if first == "val" and folders else None


def _places_256(path: str, name: str) -> str | None:
    """Places' `train/<class-with-hyphens>/x.jpg` as the 256-pixel archive has it."""
    steps = path.split("/")
    if steps[0] == "train" and len(steps) == 3:
        return f"data_256/{steps[1][0]}/{steps[1].replace('-', '/')}/{steps[2]}"
    if steps[0] == "val" and len(steps) in (2, 3):
        return f"val_256/{steps[-1]}"
    return None


def _places_standard(path: str, name: str) -> str | None:
    """The 256-pixel archive's paths as `train/<class-with-hyphens>/x.jpg`."""
    steps = path.split("/")
    if steps[0] == "data_256" and len(steps) >= 4:
        return f"train/{'-'.join(steps[2:-1])}/{steps[-1]}"
    if steps[0] == "val_256" and len(steps) == 2:
        return f"val/{name.replace('/', '-')}/{steps[1]}"
    return None


def _without_first(path: str, name: str) -> str | None:
    """A root that is itself the first folder of the paths, as `train` is."""
    return path.partition("/")[2] or None


LAYOUTS: tuple[Rewritten, ...] = (
    _as_listed,
    _flat_validation,
    _places_256,
    _places_standard,
    _without_first,
)


def folder_names(paths: Sequence[str], labels: Sequence[int]) -> list[str] | None:
    """The classes' names, where each class's images lie in a folder of their own.

    Args:
        paths: of the images.
        labels: their classes, without a gap.

    Returns:
        One name per class: the folders in which the listed classes differ, joined with "/"; None
        where the folders do not tell the classes.
    """
    folder_of: dict[int, str] = {}
    for path, label in zip(paths, labels, strict=True):
        folder = os.path.dirname(path)
        if folder_of.setdefault(label, folder) != folder:
            return None
    if len(set(folder_of.values())) < len(folder_of):
        return None
    split = [folder_of[label].split("/") for label in range(len(folder_of))]
    common = 0
    while len(split) > 1 and all(len(s) > common + 1 for s in split):
        if len({s[common] for s in split}) > 1:
            break
        common += 1
    # Of `a/airfield`, the letter is a shelf and no name.
    shelved = all(len(s) > common + 1 and s[common] == s[common + 1][:1] for s in split)
    return ["/".join(s[common + shelved :]) for s in split]
