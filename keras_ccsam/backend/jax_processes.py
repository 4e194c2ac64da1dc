"""Several devices and processes on JAX: `keras.distribution` shows a step the global batch.

XLA's partitioner puts the sums in, wherever a program needs one. So a step has nothing to sum.
"""

import contextlib
import os
import random
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import keras
import numpy as np

from keras_ccsam.backend.host_arrays import gathered, sent, total
from keras_ccsam.backend.launched import launched
from keras_ccsam.backend.waiting import limit, waiting
from keras_ccsam.typing import Tensor

METRICS_ARE_LOCAL = False
OPTIMIZER_SUMS = False
COLLECTIVES_IN_LOOPS = True


def process_count() -> int:
    """The processes of the JAX cluster."""
    return int(jax.process_count()) if jax.distributed.is_initialized() else 1


def process_index() -> int:
    """The place of this one."""
    return int(jax.process_index()) if jax.distributed.is_initialized() else 0


def replica_count() -> int:
    """One: the batch is global."""
    return 1


def replica_index() -> int:
    """The first, for the same reason."""
    return 0


def sharded_devices() -> int:
    """The devices that a batch is laid out over."""
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.device_mesh.devices.size)


def trained_by(model: Any) -> int:
    """The devices of the distribution."""
    return sharded_devices()


def all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The identity."""
    return list(tensors)


def all_gather(tensor: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """The identity."""
    return tensor


def replica_rows(rows: int) -> list[int]:
    """All of them."""
    return [rows]


def _gather_bytes(data: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils  # slow to import, and seldom needed

    return np.asarray(multihost_utils.process_allgather(data))


def _send_bytes(data: np.ndarray) -> np.ndarray:
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.broadcast_one_to_all(data))


def host_sum(array: Any) -> np.ndarray:
    """The sum over the processes."""
    return np.asarray(array) if process_count() == 1 else total(gathered(array, _gather_bytes))


def broadcast_host(array: Any) -> np.ndarray:
    """The array of process 0."""
    if process_count() == 1:
        return np.asarray(array)
    return sent(array, process_index(), _gather_bytes, _send_bytes)


def barrier() -> None:
    """Waits for all processes."""
    if process_count() > 1:
        _gather_bytes(np.zeros(1, "uint8"))


def host_gather(array: Any) -> list[np.ndarray]:
    """The arrays of all processes."""
    return [np.asarray(array)] if process_count() == 1 else gathered(array, _gather_bytes)


def batch_rows(size: int) -> np.ndarray:
    """The rows of a global batch that this process hands over.

    A batch that the devices do not divide is laid out as several copies of itself.
    """
    devices = sharded_devices()
    rows = np.tile(np.arange(size), devices // int(np.gcd(size, devices)) if size else 1)
    return np.split(rows, process_count())[process_index()]


def join_processes() -> bool:
    """Starts the JAX cluster and lays data out over all its devices.

    The processes wait for each other as `waiting` has it.
    """
    if process_count() == 1:
        found = launched(os.environ)
        if found is None:
            return False
        # What CPUs talk through; and gloo may not run two programs at a time.
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        jax.config.update("jax_cpu_enable_async_dispatch", False)
        seconds = limit()
        with waiting(found, seconds):
            # As `keras.distribution.initialize`, which has no limit. JAX's own aborts, so it is
            # later.
            jax.distributed.initialize(
                found.address,
                found.processes,
                found.place,
                initialization_timeout=2 * int(seconds) + 60,
            )
        _draw_alike()
    if keras.distribution.distribution() is None:
        keras.distribution.set_distribution(
            keras.distribution.DataParallel(auto_shard_dataset=False)
        )
    return True


def _draw_alike() -> None:
    """Let layers without a seed draw the same one in all processes, unless the user has.

    Keras draws it from Python's generator. Its `set_random_seed` would import TensorFlow.
    """
    state = np.array(random.getstate()[1], "int64")
    if any(not np.array_equal(other, state) for other in host_gather(state)):
        random.seed(int(broadcast_host(np.int64(random.randrange(2**32)))))


def make_devices(count: int) -> None:
    """Makes `count` devices of this machine's CPU, before JAX has started."""
    if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        jax.config.update("jax_num_cpu_devices", count)


@contextlib.contextmanager
def share_devices(count: int) -> Iterator[None]:
    """Models made inside train on the first `count` devices of this process.

    Raises:
        ValueError: where there are fewer.
    """
    devices = jax.local_devices()
    if not 1 <= count <= len(devices):
        raise ValueError(f"There are {len(devices)} devices here. Received: devices={count}")
    if count == 1:
        yield
        return
    named = [f"{device.platform}:{device.id}" for device in devices[:count]]
    with keras.distribution.DataParallel(devices=named, auto_shard_dataset=False).scope():
        yield
