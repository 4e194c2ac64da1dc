"""Looks at the first and the last bytes of image files, before anything is trained on them.

A file that is broken stops a training when its batch is read, perhaps after hours. To read and
decode every file (`verifying`) takes as long as an epoch's decoding. This takes about 30
microseconds a file, and ends after a few seconds. It finds what is empty, is no image, or ends too
early:

    JPEG   ends with its end-of-image marker       GIF   with its trailer
    PNG    with its last chunk                     WebP, BMP   the header tells the length

A file that looks strange, and one of another format, is decoded: nothing sound is refused.
"""

import time
from collections.abc import Iterable

import numpy as np

from keras_ccsam.data.images.decode import decode
from keras_ccsam.data.images.files import ImageFiles

SECONDS = 3.0
"""Time that is spent on it at most."""

_BYTES = 16


def glance(stores: Iterable[object], seconds: float = SECONDS) -> tuple[int, int]:
    """Looks at the files of a set.

    Args:
        stores: the images of its parts; what is no `ImageFiles` is passed over.
        seconds: after which no further file is looked at. The order is a random one, the same at
            each call, so that every class comes up.

    Returns:
        How many files were looked at, and how many there are.

    Raises:
        UnreadableImage: the first file that cannot be read.
    """
    files = [store for store in stores if isinstance(store, ImageFiles)]
    ends = np.cumsum([len(store) for store in files])
    total = int(ends[-1]) if files else 0
    until = time.monotonic() + seconds
    for done, place in enumerate(np.random.default_rng(0).permutation(total), 1):
        part = int(np.searchsorted(ends, place, side="right"))
        path = files[part].path(int(place - ends[part] + len(files[part])))
        if _looks_strange(path):
            decode(path, at_least=(1, 1))
        if time.monotonic() > until:
            return done, total
    return total, total


def _looks_strange(path: str) -> bool:
    """Whether a file's first and last bytes are not those of a whole image."""
    try:
        with open(path, "rb") as file:
            head = file.read(_BYTES)
            size = file.seek(0, 2)
            file.seek(max(0, size - _BYTES))
            tail = file.read()
    except (OSError, ValueError):
        return True
    if head.startswith(b"\xff\xd8\xff"):
        return not tail.rstrip(b"\0").endswith(b"\xff\xd9")
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND" not in tail
    if head.startswith(b"GIF8"):
        return not tail.endswith(b";")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 > size
    if head.startswith(b"BM"):
        return int.from_bytes(head[2:6], "little") > size
    return True
