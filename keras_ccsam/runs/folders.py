"""Whether a folder may be written into, or is one of ours.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import datetime
import json
import os
from pathlib import Path

PathLike = str | os.PathLike[str]

PROGRAMS = ".jax-cache"
"""The folder that `compiled_programs` keeps."""


def fresh(name: str, parent: PathLike = "runs") -> Path:
    """Return the path of a folder that does not exist yet: <parent>/<name>-<date>-<time>."""
    stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S")
    first = Path(parent) / f"{name}-{stamp}"
    path, count = first, 1
    while path.exists():
        count += 1
        path = first.with_name(f"{first.name}-{count}")
    return path


def require_free(path: Path) -> None:
    """Refuse a path that is a file, lies below one, or is a folder with anything in it.

    Raises:
        ValueError: `path` cannot be taken for new files.
    """
    existing = next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())
    if not existing.is_dir():
        raise ValueError(
            f"the output folder cannot be made: {str(existing)!r} is a file; name another. "
            f"Received: out={str(path)!r}"
        )
    # Runs leave their compiled programs in their parent; those are nobody's results.
    if existing == path.absolute() and any(p.name != PROGRAMS for p in path.iterdir()):
        raise ValueError(
            "the output folder exists and is not empty, and runs are never overwritten; name "
            f"another. Received: out={str(path)!r}"
        )


def kind_of(path: Path) -> str | None:
    """Return what a folder's state.json says it is: "run", "comparison", ...; None without one."""
    try:
        content = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content.get("kind") if isinstance(content, dict) else None


def require_run(path: Path) -> None:
    """Refuse a folder that no run was written into.

    Raises:
        ValueError: the folder is no run directory.
    """
    if not (path / "recipe.toml").is_file():
        lack = "it has no recipe.toml" if path.exists() else "there is no such folder"
        raise ValueError(f"not a run directory: {lack}. Received: run={str(path)!r}")
