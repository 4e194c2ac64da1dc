"""How many threads prepare batches."""

import os
from typing import Literal

from keras_ccsam.data.images.store import ImageStore

Workers = int | Literal["auto"]

MOST = 16
"""More threads than these wait for each other: Python's lock is held for a tenth of the time."""


def thread_count(workers: Workers, images: object) -> int:
    """The number of threads; 1 is the caller's own alone.

    Args:
        workers: at least 1, or `"auto"`: one per core for images that are decoded as they are
            read, at most 16, and none for an array, of which a batch is there at once.
        images: an array, or an `ImageStore`.
    """
    if workers != "auto":
        return int(workers)
    return min(cores(), MOST) if isinstance(images, ImageStore) else 1


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
