"""Leaves out image files that cannot be read, before anything is counted.

A set is trained on with the class counts that it has. So what `on_error = "skip"` leaves out is
found by reading every file once, not on the way: counts, splits and samplers never know of it. What
was found is kept for the next time, and holds for files of the same size and time of change.
"""

import dataclasses
import hashlib
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam import atomic
from keras_ccsam.data.images.pack_index import stamp
from keras_ccsam.data.images.verifying import verify
from keras_ccsam.data.sources.listing import Listing, Rows
from keras_ccsam.data.sources.source import Skipped

FORMAT = 1
_SHOWN = 3


def readable(listing: Listing, cache: Path | None = None) -> tuple[Listing, tuple[Skipped, ...]]:
    """The same listing without the files that cannot be read, and which these are.

    Args:
        listing: whose files are read, all of them.
        cache: a folder for what was found; `kept_findings()` without one.

    Returns:
        The listing, with a note of what was left out, and the files.

    Raises:
        ValueError: none of the images to train on of a class can be read.
    """
    parts: dict[str, Any] = {}
    skipped: list[Skipped] = []
    for split, rows in listing.parts().items():
        lost = _unreadable(rows, listing.root, kept_findings() if cache is None else cache)
        kept = np.setdiff1d(np.arange(len(rows)), np.fromiter(lost, np.int64, len(lost)))
        parts[split] = rows.take(kept) if lost else rows
        for row in sorted(lost):
            label = int(rows.labels[row])
            skipped.append(Skipped(split, rows.paths[row], listing.class_names[label], *lost[row]))
    if not skipped:
        return listing, ()
    _check_left(listing, parts["train"], skipped)
    notes = (*listing.notes, _note(skipped))
    return dataclasses.replace(listing, **parts, notes=notes), tuple(skipped)


def _check_left(listing: Listing, left: Rows, skipped: list[Skipped]) -> None:
    lost = np.setdiff1d(listing.train.labels, left.labels).tolist()
    if lost:
        name = listing.class_names[lost[0]]
        first = next(s for s in skipped if (s.split, s.class_name) == ("train", name))
        more = f", and so of {len(lost) - 1} more classes" if len(lost) > 1 else ""
        raise ValueError(
            f'on_error="skip" leaves no image of class {name} to train on, for none of its '
            f"files can be read{more}: mend one, or take the class away. `ccsam data verify` names "
            f"all of them. Received: {first.path}: {first.reason}"
        )


def kept_findings() -> Path:
    """Where what was found is kept: in Keras' folder, beside its data sets."""
    home = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
    return Path(home) / "keras_ccsam" / "unreadable"


def _note(skipped: list[Skipped]) -> str:
    """Which classes lost how many images, and the first of the files."""
    counts = Counter((each.split, each.class_name) for each in skipped)
    classes = ", ".join(f"{n} of class {name} ({split})" for (split, name), n in counts.items())
    shown = "; ".join(f"{each.path}: {each.reason}" for each in skipped[:_SHOWN])
    more = f"; and {len(skipped) - _SHOWN} more" if len(skipped) > _SHOWN else ""
    one = len(skipped) == 1
    which = (
        "1 image cannot be read and is" if one else f"{len(skipped)} images cannot be read and are"
    )
    return f"{which} left out, so that class counts are smaller: {classes} ({shown}{more})"


def _unreadable(rows: Rows, root: Path, cache: Path) -> dict[int, tuple[str, str]]:
    """Kind and reason of each row that cannot be read."""
    stamps = [stamp(os.path.join(root, path)) for path in rows.paths]
    known_by = hashlib.sha256(os.fsencode(f"{FORMAT} {root.resolve()}"))
    for path, stamped in zip(rows.paths, stamps, strict=True):
        known_by.update(os.fsencode(f"{path}\0{stamped}\n"))
    file = cache / f"{known_by.hexdigest()}.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {int(row): (str(kind), str(reason)) for row, (kind, reason) in content.items()}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        pass  # not looked at yet
    found = verify(rows.paths, root)
    lost = {fault.row: (fault.kind, fault.reason) for fault in found.unusable}
    try:
        cache.mkdir(parents=True, exist_ok=True)
        atomic.write_text(file, json.dumps(lost, ensure_ascii=False) + "\n")
    except OSError:
        pass  # it is looked for again next time
    return lost
