"""One replica's part in what the backend promises of several."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import keras
import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.training.together import same_variables


def unequal(place: int) -> np.ndarray:
    """Rows of a replica: 1, 2, ... of them, numbered through."""
    start = sum(range(1, place + 1))
    return np.arange(start, start + place + 1, dtype="float32")[:, None]


def of_host(count: int, place: int) -> None:
    assert (backend.process_count(), backend.process_index()) == (count, place)
    big = np.array([2**53 + 1, place], "int64")
    total = backend.host_sum(big)
    assert total.dtype == np.int64
    assert total.tolist() == [count * (2**53 + 1), sum(range(count))]
    assert backend.host_sum(np.float64(0.1)) == sum(0.1 for _ in range(count))
    name = backend.broadcast_host(np.array(f"folder of process {place}" + "x" * place))
    assert str(name) == "folder of process 0"
    backend.barrier()


def of_step(count: int, place: int) -> None:
    rows = ops.convert_to_tensor(unequal(place))
    whole = np.concatenate([unequal(i) for i in range(count)])
    np.testing.assert_array_equal(ops.convert_to_numpy(backend.all_gather(rows)), whole)
    flags = backend.all_gather(rows > 0)
    np.testing.assert_array_equal(ops.convert_to_numpy(flags), whole > 0)
    one, two = backend.all_reduce([rows[:1], ops.convert_to_tensor(np.array([place], "int32"))])
    first = [float(unequal(i)[0, 0]) for i in range(count)]
    assert float(one[0, 0]) == sum(first)
    assert int(two[0]) == sum(range(count))

    # Each replica has a loss of its own; the gradient is that of their sum.
    def summed(values: list) -> tuple:
        (total,) = backend.all_reduce([ops.sum(values[0] ** 2)])
        return (place + 1.0) * total, ()

    def gathered(values: list) -> tuple:
        return (place + 1.0) * ops.sum(backend.all_gather(values[0]) ** 3), ()

    factor = sum(range(1, count + 1))
    _, (found,) = backend.value_and_grad(summed, [rows])
    np.testing.assert_allclose(ops.convert_to_numpy(found), factor * 2 * unequal(place))
    _, (found,) = backend.value_and_grad(gathered, [rows])
    np.testing.assert_allclose(ops.convert_to_numpy(found), factor * 3 * unequal(place) ** 2)


def rows(count: int) -> None:
    """What all processes take together is the batch, or whole copies of it."""
    for size in (1, 3, 7, 8):
        own = backend.batch_rows(size)
        counted = np.zeros(size, "int64")
        np.add.at(counted, own, 1)
        total = backend.host_sum(counted)
        assert len(set(total.tolist())) == 1, (size, total)
        copied = size < count if keras.backend.backend() == "torch" else size % count
        assert bool(copied) == (total[0] > 1), (size, total)


def traffic(count: int) -> None:
    """The messages of a step are as long as `step_traffic` says."""
    import torch.distributed as dist

    from keras_ccsam.training import step_traffic
    from tests.contract.registry import METHODS
    from tests.distributed.trained import model_of

    sent = []

    def counted(send: Any, copies: int) -> Any:
        def wrapped(*tensors: Any, **options: Any) -> Any:
            sent.append(copies * tensors[-1].numel() * tensors[-1].element_size())
            return send(*tensors, **options)

        return wrapped

    for name in ("class_conditional", "sam"):
        model = model_of(METHODS[name], "batch")
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        x, y = np.ones((4, 6, 6, 2), "float32"), np.arange(4, dtype="int32")
        model.train_on_batch(x, y)
        sent.clear()
        dist_of = dist.all_reduce, dist.all_gather
        dist.all_reduce, dist.all_gather = counted(dist_of[0], 1), counted(dist_of[1], count)
        model.train_on_batch(x, y)
        dist.all_reduce, dist.all_gather = dist_of
        found = step_traffic(model, 4 * count, count)
        passes = 2 if name == "sam" else 1
        told = found.gradient + found.perturbation + 2 * passes * found.batch_norm + found.metrics
        # The loss, the statistics' mean and the numbers of rows.
        assert told <= sum(sent) <= told + 200, (name, told, sum(sent), sent)


def unlike_models(place: int) -> None:
    """One process with another network: all of them say so, and none waits."""
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2 + (place == 1))])
    model.compile("sgd", "mse")
    try:
        same_variables(model)
    except ValueError as error:
        assert "1 of them have other variables than process 0" in str(error), error
        assert ("float32 (3, 3) for float32 (3, 2)" in str(error)) == (place == 1), error
    else:
        raise AssertionError("it was not noticed")


def on_tensorflow(count: int) -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    one = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [one] * count)
    with backend.share_devices(count):
        strategy = tf.distribute.get_strategy()
    assert strategy.num_replicas_in_sync == count

    @tf.function
    def step() -> tuple:
        assert backend.replica_count() == count
        context = tf.distribute.get_replica_context()
        place = context.replica_id_in_sync_group
        rows = tf.range(place * (place + 1) // 2, (place + 1) * (place + 2) // 2)
        rows = tf.cast(rows, "float32")[:, None]
        flags = backend.all_gather(rows > 0)
        factor = tf.cast(place + 1, "float32")

        def loss(values: list) -> tuple:
            (total,) = backend.all_reduce([tf.reduce_sum(values[0] ** 2)])
            cubes = tf.reduce_sum(backend.all_gather(values[0]) ** 3)
            return factor * (total + cubes), ()

        _, (found,) = backend.value_and_grad(loss, [rows])
        return backend.all_gather(rows), flags, found, backend.replica_rows(tf.shape(rows)[0])

    whole = np.concatenate([unequal(i) for i in range(count)])
    factor = sum(range(1, count + 1))
    for place, results in enumerate(
        zip(*map(strategy.experimental_local_results, strategy.run(step)), strict=True)
    ):
        gathered, flags, found, counts = (each.numpy() for each in results)
        np.testing.assert_array_equal(gathered, whole)
        np.testing.assert_array_equal(flags, whole > 0)
        own = unequal(place)
        np.testing.assert_allclose(found, factor * (2 * own + 3 * own**2))
        assert counts.tolist() == list(range(1, count + 1))


def main(replicas: str) -> None:
    count = int(replicas)
    if keras.backend.backend() == "tensorflow":
        assert backend.process_count() == 1 and not backend.join_processes()
        on_tensorflow(count)
    else:
        at_end: list[Callable[[], object]] = []
        with mock.patch("atexit.register", at_end.append):
            assert backend.join_processes()
        assert backend.join_processes(), "a second call says the same"
        place = backend.process_index()
        of_host(count, place)
        rows(count)
        if keras.backend.backend() == "torch":
            assert backend.replica_count() == count
            of_step(count, place)
            traffic(count)
            unlike_models(place)
            assert len(at_end) == 1
            at_end[0]()
            assert backend.process_count() == 1, "the group is closed when Python ends"
            at_end[0]()  # nor does it mind that a script has closed it
        else:
            assert backend.replica_count() == 1 and backend.sharded_devices() == count
    print("kept")
