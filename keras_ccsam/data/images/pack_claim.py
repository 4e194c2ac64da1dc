"""One process at a time packs into a folder, and what a killed one left there is cleared away."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keras_ccsam import atomic, writer
from keras_ccsam.data.images.pack_index import IMAGES, INDEX

_CLAIM = "packing.json"
# What `atomic.replacing` calls a file that is not whole yet.
_UNFINISHED = re.compile(rf"\.[0-9a-f]{{8}}\.({re.escape(IMAGES)}|{re.escape(INDEX)}|{_CLAIM})")


def unfinished(folder: Path) -> list[Path]:
    """The files in a folder that a pack leaves when it is killed."""
    return [f for f in folder.iterdir() if f.name == _CLAIM or _UNFINISHED.fullmatch(f.name)]


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep other processes out of a folder for a block.

    Args:
        folder: it is there.

    Raises:
        ValueError: another process packs into it.
    """
    claim, own = folder / _CLAIM, writer.this_process()
    _refuse_others(folder)
    atomic.write_text(claim, json.dumps({"process": own}) + "\n")
    # Of two that came at the same moment, the second one has written over the first.
    _refuse_others(folder)
    try:
        for left in unfinished(folder):
            if left != claim:
                left.unlink(missing_ok=True)
        yield
    finally:
        if _process(claim) == own:
            claim.unlink(missing_ok=True)


def _refuse_others(folder: Path) -> None:
    process = _process(folder / _CLAIM)
    if process is not None and writer.standing(process) == writer.HERE:
        raise ValueError(
            f"another process ({process['pid']}) packs into this folder; let it end, or name "
            f"another folder. Received: folder={str(folder)!r}"
        )


def _process(claim: Path) -> dict[str, object] | None:
    try:
        found = json.loads(claim.read_text(encoding="utf-8"))["process"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
