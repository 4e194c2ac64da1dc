"""What a packed set says of itself: `index.json` beside `images.bin`."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from keras_ccsam import atomic
from keras_ccsam.text_table import shown

Form = Literal["pixels", "jpeg"]
FORMAT = 1
INDEX, IMAGES = "index.json", "images.bin"


@dataclass(frozen=True)
class PackIndex:
    """The facts of a packed set.

    Attributes:
        form: `"pixels"`: uint8, all of one size; `"jpeg"`: files of JPEG, one after the other.
        side: of pixels, height and width; of JPEG, what the shorter side was made, at most.
        channels: 3 or 1.
        ends: of JPEG, where each file ends; of pixels empty.
        paths: of the files that were packed, as they were given.
        stamps: of each, its bytes and the time of its last change in nanoseconds.
        bytes: of `images.bin`.
        sha256: of `images.bin`.
    """

    form: Form
    side: int
    channels: int
    ends: tuple[int, ...]
    paths: tuple[str, ...]
    stamps: tuple[tuple[int, int], ...]
    bytes: int
    sha256: str

    def save(self, folder: Path) -> None:
        """Writes the index, the last file of a pack: without it there is none."""
        content = {"kind": "packed images", "format": FORMAT, **vars(self)}
        atomic.write_text(folder / INDEX, json.dumps(content, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "PackIndex":
        """Reads an index.

        Raises:
            ValueError: the folder holds no packed set, or one of another version.
        """
        try:
            content: dict[str, Any] = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            known = content.pop("kind"), content.pop("format")
            if known != ("packed images", FORMAT):
                raise ValueError(f"it is of another kind or version, {known}")
            content["stamps"] = tuple((int(a), int(b)) for a, b in content["stamps"])
            content |= {key: tuple(content[key]) for key in ("ends", "paths")}
            if not _can_be(content):
                raise ValueError("its facts cannot be those of a packed set")
            found = cls(**content)
            size = (folder / IMAGES).stat().st_size
            if size != found.bytes:
                raise ValueError(f"{IMAGES} has {size} bytes, not {found.bytes}")
        except (OSError, RecursionError, ValueError, KeyError, TypeError, AttributeError) as error:
            words = error.strerror if isinstance(error, OSError) else shown(str(error))
            raise ValueError(
                f"This is no folder of packed images, or a damaged one: {words}. "
                f"Received: folder={str(folder)!r}"
            ) from error
        return found


def _can_be(content: dict[str, Any]) -> bool:
    """Whether an index has facts of the right types, and as many as images."""
    ends, paths, numbers = content["ends"], content["paths"], (content["side"], content["bytes"])
    ascend = all(type(end) is int and end >= 0 for end in ends) and sorted(ends) == list(ends)
    return (
        content["form"] in ("pixels", "jpeg")
        and content["channels"] in (1, 3)
        and all(type(number) is int and number >= 0 for number in numbers)
        and ascend
        and len(ends) == (len(paths) if content["form"] == "jpeg" else 0)
        and (not ends or ends[-1] <= content["bytes"])
        and all(isinstance(path, str) for path in paths)
        and len(content["stamps"]) == len(paths)
    )


def stamp(path: str) -> tuple[int, int]:
    """Bytes and time of the last change of a file; (-1, -1) where there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def stamps(paths: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Those of many files."""
    return tuple(stamp(path) for path in paths)
