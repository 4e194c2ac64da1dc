"""What files were when they were written, so that a changed one is known: sizes and SHA-256.

A manifest is a JSON object with a kind, a version and a digest of its own.

It imports the standard library alone.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any


class Damaged(ValueError):
    """What is on the disk is not what was written there: cut short, changed, foreign or gone.

    The input of whoever asked is right; the command line ends with 1, not with 2.
    """

    exit_code = 1


def facts_of(path: Path) -> dict[str, Any]:
    """Return the size and the SHA-256 of a file, as a manifest holds them."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def difference(path: Path, said: Mapping[str, Any]) -> str | None:
    """Say how a file differs from what a manifest says of it; None where it does not.

    Returns:
        A phrase that follows the file's name, as in "is no longer there".
    """
    try:
        if not path.is_file():  # of a pipe, reading would wait
            return "is no file" if path.exists() else "is no longer there"
        found = facts_of(path)
    except OSError as error:
        return f"cannot be read ({(error.strerror or str(error)).lower()})"
    if found["bytes"] != said["bytes"]:
        return f"has {found['bytes']:,} bytes, not the {said['bytes']:,} that were written"
    if found["sha256"] != said["sha256"]:
        return "is not what was written: its SHA-256 differs"
    return None


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with the digest of all else that it holds."""
    return {**content, "sha256": _digest(content)}


def opened(path: Path, kind: str, version: int) -> dict[str, Any]:
    """Read a manifest.

    Args:
        path: the file.
        kind: what it must be.
        version: the newest that is known here.

    Raises:
        FileNotFoundError: there is none.
        Damaged: it is no such manifest, changed since it was written, or of a later version.
    """
    if path.exists() and not path.is_file():
        raise Damaged(f"{path.name} is no file")
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{path.name} cannot be read") from error
    if not isinstance(found, dict) or found.get("kind") != kind:
        raise Damaged(f"{path.name} is not that of a {kind}")
    made = found.get("version")
    if isinstance(made, int) and made > version:
        raise Damaged(f"it is of version {made} of the format, and {version} is known here")
    if found.get("sha256") != _digest(found):
        raise Damaged(f"{path.name} is not what was written")
    files = found.get("files")
    if not isinstance(files, dict) or not all(map(_is_entry, files, files.values())):
        raise Damaged(f"{path.name} names files that cannot be")
    return found


def _is_entry(name: str, said: Any) -> bool:
    """Whether a file lies in the folder, and what is said of it can be."""
    place = PurePosixPath(name)
    inside = not place.is_absolute() and ".." not in place.parts and "\0" not in name
    return inside and isinstance(said, dict) and {"bytes", "sha256"} <= said.keys()


def _digest(content: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in content.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
