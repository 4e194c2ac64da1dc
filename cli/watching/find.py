"""Which runs lie in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import light

# A folder of runs holds comparisons, a reproduction holds them too, and they hold runs.
_DEPTH = 3
_COLLECTIONS = ("comparison", "reproduction", "auto")


def check(path: Path) -> None:
    """Refuse what can't be watched.

    Raises:
        ValueError: there is no such folder, or nothing in it is or holds a run.
    """
    if not path.is_dir():
        lack = "this is a file" if path.exists() else "there is no such folder"
        raise ValueError(f"nothing to watch: {lack}. Received: run={str(path)!r}")
    if not any(True for _ in runs(path)) and not any(True for _ in collections(path)):
        raise ValueError(
            "nothing to watch: the folder is no run directory, and none lies in it. "
            f"Received: run={str(path)!r}"
        )


def runs(path: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Every run directory of a folder, itself and M2m's helper included.

    What an interrupted run left, and a comparison set aside, is left out unless it is named.
    """
    if is_run(path):
        yield path
        if is_run(path / "helper"):
            yield path / "helper"
    elif depth:
        for child in _folders(path):
            if depth == _DEPTH or is_run(child) or kind_of(path) in _COLLECTIONS:
                yield from runs(child, depth - 1)


def collections(path: Path, depth: int = _DEPTH) -> Iterator[Path]:
    """Every comparison and reproduction of a folder, itself included."""
    found = kind_of(path) in _COLLECTIONS
    if found:
        yield path
    if depth and (found or depth == _DEPTH):
        for child in _folders(path):
            yield from collections(child, depth - 1)


def is_run(path: Path) -> bool:
    """Whether a run writes, or wrote, into this folder."""
    kind = kind_of(path)
    return kind == "run" or (kind is None and (path / "recipe.toml").is_file())


def kind_of(path: Path) -> str | None:
    """What the folder's state.json says it is; None without one."""
    kind: str | None = light.library("runs.folders").kind_of(path)
    return kind


def _folders(path: Path) -> list[Path]:
    try:
        found = [child for child in path.iterdir() if child.is_dir()]
    except OSError:  # it may not be read, or has just been renamed
        return []
    aside = light.library("runs.folders").is_set_aside
    return sorted(c for c in found if not c.name.startswith(".") and not aside(c))
