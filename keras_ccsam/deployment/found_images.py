"""Image files that a user named, found and read while the network is busy."""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ccsam.data.images.decode import SUFFIXES
from keras_ccsam.data.images.unreadable import UnreadableImage
from keras_ccsam.data.images.view import Centre, seen

_ENDINGS = tuple(ending for endings in SUFFIXES.values() for ending in endings)


@dataclass(frozen=True)
class ReadImage:
    """An image file.

    Attributes:
        path: as it was named, or below the folder that was.
        pixels: (H, W, C), uint8; None where it cannot be read.
        problem: why not, in words.
    """

    path: str
    pixels: np.ndarray | None
    problem: str | None = None


def image_files(named: Iterable[str | os.PathLike[str]]) -> Iterator[str]:
    """The files that names stand for: a file itself, a folder all images below it, sorted.

    Of a folder those count that end like an image; hidden ones do not. A file is taken whatever it
    ends in, and so is a name of which there is nothing: reading it says so.
    """
    for name in named:
        path = Path(name)
        if not path.is_dir():
            yield os.fspath(name)
            continue
        for folder, below, files in os.walk(path):
            below[:] = sorted(part for part in below if not part.startswith("."))
            for file in sorted(files):
                if file.lower().endswith(_ENDINGS) and not file.startswith("."):
                    yield os.path.join(folder, file)


def read_ahead(
    files: Iterable[str], view: Centre, channels: int, *, threads: int, ahead: int
) -> Iterator[ReadImage]:
    """The images in their order, decoded by threads.

    Args:
        files: paths; taken as they are needed, so a stream without an end will do.
        view: what is seen of each.
        channels: 3 or 1.
        threads: that decode.
        ahead: images that may be in memory before they are asked for.
    """

    def read(path: str) -> ReadImage:
        try:
            return ReadImage(path, seen(path, view, view.size, channels))
        except UnreadableImage as error:
            return ReadImage(path, None, error.reason)
        except ValueError as error:  # a path with a zero byte in it
            return ReadImage(path, None, str(error))

    waiting: deque[Future[ReadImage]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        try:
            for path in files:
                waiting.append(pool.submit(read, path))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
