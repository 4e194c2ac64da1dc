"""Reads every file of a set once and says what is wrong with it, class by class.

    missing, empty, truncated, foreign, too large, corrupt    cannot be read (`unreadable.Reason`)
    leaves the root       the path, or a link on its way, leads out of the folder
    misnamed              its ending is another format's; it can be read
    duplicate path        the same path twice
    duplicate content     the same bytes under another path

The files are decoded by threads, JPEG at an eighth of its size: all of its bytes are read, and a
gap shows.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from keras_ccsam.data.batches.prefetch import Prefetcher
from keras_ccsam.data.batches.workers import Workers, cores
from keras_ccsam.data.images.decode import SUFFIXES, opened, pixels, reduce, upright
from keras_ccsam.data.images.files import leaves
from keras_ccsam.data.images.unreadable import UnreadableImage
from keras_ccsam.text_table import text_table

UNUSABLE = ("missing", "empty", "truncated", "foreign", "too large", "corrupt", "leaves the root")
"""What keeps an image out of training; the rest is only said."""

KINDS = (*UNUSABLE, "misnamed", "duplicate path", "duplicate content")

_PIECE = 32
_SHOWN = 20


@dataclass(frozen=True)
class Fault:
    """Something that is wrong with one image.

    Attributes:
        row: of the list, from 0.
        path: as it was given.
        kind: one of `KINDS`.
        reason: in words.
        label: its class; None where none were given.
    """

    row: int
    path: str
    kind: str
    reason: str
    label: int | None = None

    @property
    def unusable(self) -> bool:
        """Whether the image cannot be trained on."""
        return self.kind in UNUSABLE


@dataclass(frozen=True)
class Verified:
    """What was found.

    Attributes:
        images: how many were looked at.
        faults: in the order of their rows.
        class_names: one per class; empty without labels.
        class_counts: images of each class in the list, readable or not.
    """

    images: int
    faults: tuple[Fault, ...]
    class_names: tuple[str, ...] = ()
    class_counts: tuple[int, ...] = field(default=())

    @property
    def unusable(self) -> tuple[Fault, ...]:
        """The first fault of each image that cannot be trained on."""
        first: dict[int, Fault] = {}
        for fault in self.faults:
            if fault.unusable:
                first.setdefault(fault.row, fault)
        return tuple(first.values())

    @property
    def kinds(self) -> dict[str, int]:
        """How many faults there are of each kind that was found."""
        found = Counter(fault.kind for fault in self.faults)
        return {kind: found[kind] for kind in KINDS if found[kind]}

    def usable_counts(self) -> tuple[int, ...]:
        """Images of each class that can be trained on."""
        lost = Counter(fault.label for fault in self.unusable)
        return tuple(count - lost[label] for label, count in enumerate(self.class_counts))

    def table(self, limit: int = _SHOWN) -> str:
        """In words and tables: the kinds, the classes that lose images, and the first files."""
        unusable = len(self.unusable)
        lines = [f"{self.images} images, {unusable} that cannot be used"]
        if not self.faults:
            return f"{self.images} images, nothing is wrong with them"
        lines += ["", text_table(("what", "images"), [(k, str(n)) for k, n in self.kinds.items()])]
        usable = self.usable_counts()
        losing = [
            (name, str(count), str(left))
            for name, count, left in zip(self.class_names, self.class_counts, usable, strict=True)
            if left < count
        ]
        if losing:
            lines += ["", text_table(("class", "images", "usable"), losing)]
        shown = [(str(f.row), f.path, f.kind, f.reason) for f in self.faults[:limit]]
        lines += ["", text_table(("row", "file", "what", "why"), shown, ("file", "what", "why"))]
        if len(self.faults) > limit:
            lines.append(f"and {len(self.faults) - limit} more")
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything in types that JSON knows."""
        return {
            "images": self.images,
            "unusable": len(self.unusable),
            "kinds": self.kinds,
            "classes": [
                {"label": label, "name": name, "images": count, "usable": usable}
                for label, (name, count, usable) in enumerate(
                    zip(self.class_names, self.class_counts, self.usable_counts(), strict=True)
                )
            ],
            "faults": [vars(fault) for fault in self.faults],
        }


def verify(
    paths: Sequence[str | os.PathLike[str]],
    root: str | os.PathLike[str] | None = None,
    *,
    labels: Sequence[int] | None = None,
    class_names: Sequence[str] = (),
    workers: Workers = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> Verified:
    """Reads every image file of a list, and decodes it.

    Args:
        paths: one per image.
        root: the folder that they are below; a path or a link that leaves it is a fault.
        labels: classes (N,), for what is said of each class.
        class_names: one per class; numbers where there are none.
        workers: threads; `"auto"` is one per core.
        progress: called with the images done and all of them, now and then.

    Returns:
        What was found. No fault raises an error.
    """
    names = [os.fspath(path) for path in paths]
    classes = None if labels is None else [int(label) for label in labels]
    if classes is not None and len(classes) != len(names):
        raise ValueError(
            f"labels must have one class for each of the {len(names)} paths. "
            f"Received: {len(classes)} labels"
        )
    top = None if root is None else Path(os.path.realpath(root))
    place = "" if root is None else os.fspath(root)
    pieces = [range(i, min(i + _PIECE, len(names))) for i in range(0, len(names), _PIECE)]

    def checked(_: int, step: int) -> list[tuple[list[tuple[str, str]], str | None]]:
        return [_check(names[row], place, top) for row in pieces[step]]

    faults: list[Fault] = []
    seen_paths: dict[str, int] = {}
    seen_content: dict[str, int] = {}
    threads = cores() if workers == "auto" else int(workers)
    for rows, found in zip(pieces, _read(checked, len(pieces), threads), strict=True):
        for row, (wrong, content) in zip(rows, found, strict=True):
            label = None if classes is None else classes[row]
            whole = os.path.normpath(os.path.join(place, names[row]))
            first = seen_paths.setdefault(whole, row)
            if first != row:
                wrong = [*wrong, ("duplicate path", f"as in row {first}")]
            elif content is not None and (twin := seen_content.setdefault(content, row)) != row:
                other = "" if classes is None or classes[twin] == label else ", of another class"
                wrong = [*wrong, ("duplicate content", f"as {names[twin]} (row {twin}){other}")]
            faults += [Fault(row, names[row], kind, reason, label) for kind, reason in wrong]
        if progress is not None:
            progress(rows[-1] + 1, len(names))
    known = tuple(str(name) for name in class_names)
    if classes is None:
        return Verified(len(names), tuple(faults))
    counts = Counter(classes)
    known = known or tuple(str(c) for c in range(max(classes, default=-1) + 1))
    return Verified(len(names), tuple(faults), known, tuple(counts[c] for c in range(len(known))))


def _read(compute: Callable[[int, int], Any], steps: int, threads: int) -> Iterator[Any]:
    ahead = Prefetcher(compute, threads)
    try:
        for step in range(steps):
            yield ahead.get(0, step, steps)
    finally:
        ahead.close()


def _check(name: str, root: str, top: Path | None) -> tuple[list[tuple[str, str]], str | None]:
    """What is wrong with one file, and the hash of its bytes; None where it cannot be read."""
    path = os.path.join(root, name)
    if top is not None:
        if leaves(name):
            return [("leaves the root", "the path is absolute, or goes up")], None
        real = Path(os.path.realpath(path))
        if not real.is_relative_to(top):
            return [("leaves the root", f"a link leads to {real}")], None
    try:
        with open(path, "rb") as file:
            data = file.read()
        if not data:
            raise UnreadableImage(name, "empty", "it has zero bytes")
        with opened(data) as image:
            kind = {"MPO": "JPEG"}.get(str(image.format), str(image.format))
            reduce(image, (1, 1), 3)
            pixels(upright(image), 3)
    except UnreadableImage as error:
        return [(error.kind, error.reason)], None
    except FileNotFoundError:
        return [("missing", "there is no such file")], None
    except OSError as error:
        return [("missing", f"it cannot be opened: {error.strerror or error}")], None
    ending = os.path.splitext(name)[1].lower()
    wrong = []
    if ending not in SUFFIXES[kind]:
        wrong.append(("misnamed", f"it is {kind}, and called {ending or 'nothing'}"))
    return wrong, hashlib.sha256(data).hexdigest()
