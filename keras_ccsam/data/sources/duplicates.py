"""The same image in two parts of a set, under whatever name: what a test must not share."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from keras_ccsam.data.images.files import ImageFiles

_PIECE = 2**20


@dataclass(frozen=True)
class Shared:
    """Files of one content.

    Attributes:
        files: part and path of each, such as `("test", "/photos/cat/7.jpg")`.
    """

    files: tuple[tuple[str, str], ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that they are in, in order."""
        return tuple(dict.fromkeys(part for part, _ in self.files))


def shared_content(parts: Mapping[str, ImageFiles]) -> tuple[Shared, ...]:
    """Files with the same bytes in two or more parts of a set.

    Only files of the same length are read, so a set without duplicates costs little.

    Args:
        parts: by name.

    Raises:
        OSError: a file cannot be read.
    """
    by_length: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for part, images in parts.items():
        for path in dict.fromkeys(images.path(row) for row in range(len(images))):
            by_length[os.stat(path).st_size].append((part, path))
    by_content: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for files in by_length.values():
        if len({part for part, _ in files}) > 1:
            for part, path in files:
                by_content[_digest(path)].append((part, path))
    found = (Shared(tuple(files)) for files in by_content.values())
    return tuple(shared for shared in found if len(shared.parts) > 1)


def _digest(path: str) -> str:
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            found.update(piece)
    return found.hexdigest()
