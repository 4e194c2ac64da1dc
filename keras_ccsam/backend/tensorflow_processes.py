"""Several devices on TensorFlow: the replicas of a `tf.distribute` strategy in one process."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_ccsam.typing import Tensor

METRICS_ARE_LOCAL = False
OPTIMIZER_SUMS = True
COLLECTIVES_IN_LOOPS = False

_GATHERED = (tf.float16, tf.float32, tf.float64, tf.int32, tf.int64)


def replica_count() -> int:
    """The replicas of the current strategy."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync)


def replica_index() -> Tensor | int:
    """Of the replica whose step is traced; it is known only as the step runs."""
    context = tf.distribute.get_replica_context()
    return 0 if context is None else context.replica_id_in_sync_group


def sharded_devices() -> int:
    """The batch of a replica is its own."""
    return 1


def trained_by(model: Any) -> int:
    """The replicas of the strategy that the model was made under."""
    return int(model.distribute_strategy.num_replicas_in_sync)


def all_reduce(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The sum over the replicas of a `tf.distribute` strategy."""
    if replica_count() == 1:
        return list(tensors)
    context = tf.distribute.get_replica_context()
    return list(context.all_reduce(tf.distribute.ReduceOp.SUM, list(tensors)))


def all_gather(tensor: Tensor, rows: Sequence[int] | None = None) -> Tensor:
    """The rows of all replicas, in their order."""
    if replica_count() == 1:
        return tensor
    tensor = tf.convert_to_tensor(tensor)
    if tensor.dtype not in _GATHERED:
        return tf.cast(all_gather(tf.cast(tensor, tf.int32)), tensor.dtype)
    gathered = tf.distribute.get_replica_context().all_gather(tensor, axis=0)
    return tf.ensure_shape(gathered, [None, *tensor.shape[1:]])


def replica_rows(rows: Tensor | int) -> Tensor | list[int]:
    """How many rows each replica has, (R,)."""
    return [rows] if replica_count() == 1 else all_gather(tf.reshape(rows, (1,)))


def batch_rows(size: int) -> np.ndarray:
    """All of them: the strategy divides a batch itself."""
    return np.arange(size)


def join_processes() -> bool:
    """Nothing to join: with Keras 3, `fit` under a multi-worker strategy is broken upstream."""
    return False


def make_devices(count: int) -> None:
    """Makes `count` devices of this machine's CPU, before TensorFlow has started."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * count)


@contextlib.contextmanager
def share_devices(count: int) -> Iterator[None]:
    """Models made inside train on the first `count` devices of this machine.

    Raises:
        ValueError: where there are fewer.
    """
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    devices = tf.config.list_logical_devices(kind)
    if not 1 <= count <= len(devices):
        raise ValueError(f"There are {len(devices)} devices here. Received: devices={count}")
    if count == 1:
        yield
        return
    with tf.distribute.MirroredStrategy([device.name for device in devices[:count]]).scope():
        yield
