"""Prepares the next batches of an epoch in threads.

Keras' own queue for `PyDataset` keeps the batches of a stopped run for the next one, so that a new
epoch may begin with old batches. Here a batch is asked for by (epoch, step): a stale one never
matches.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


class Prefetcher(Generic[Batch]):
    """Computes batches ahead of the one asked for: at most twice as many as there are threads.

    Args:
        compute: the batch of (epoch, step); a pure function, called from several threads.
        threads: number of threads.
    """

    def __init__(self, compute: Callable[[int, int], Batch], threads: int) -> None:
        self._compute = compute
        self._ahead = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="keras_ccsam_batches")
        self._lock = threading.Lock()
        self._pending: dict[tuple[int, int], Future[Batch]] = {}

    def get(self, epoch: int, step: int, steps: int) -> Batch:
        """The batch of (epoch, step); the following ones, up to `steps`, are begun."""
        with self._lock:
            wanted = {(epoch, s) for s in range(step, min(step + self._ahead + 1, steps))}
            for key in [key for key in self._pending if key not in wanted]:
                self._pending.pop(key).cancel()
            for key in sorted(wanted - self._pending.keys()):
                self._pending[key] = self._pool.submit(self._compute, *key)
            future = self._pending.pop((epoch, step))
        return future.result()

    def drop(self) -> None:
        """Drops what has been begun."""
        with self._lock:
            for future in self._pending.values():
                future.cancel()
            self._pending.clear()

    def close(self) -> None:
        """Drops what has been begun, and ends the threads."""
        with self._lock:
            self._pending.clear()
        self._pool.shutdown(wait=True, cancel_futures=True)


def computed(compute: Callable[[int], Batch], steps: int, threads: int) -> Iterator[Batch]:
    """What is computed of 0, 1, ..., `steps` - 1, in this order; ahead, where there are threads.

    Args:
        compute: a pure function, called from several threads.
        steps: how often.
        threads: their number; 1 is the caller's own.
    """
    if min(threads, steps) < 2:
        for step in range(steps):
            yield compute(step)
        return
    ahead = Prefetcher(lambda _, step: compute(step), min(threads, steps))
    try:
        for step in range(steps):
            yield ahead.get(0, step, steps)
    finally:
        ahead.close()
