"""What one device, or one of several, trains: each method on a tiny network for a dozen steps."""

import dataclasses
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

import keras_ccsam as cc
from keras_ccsam import backend
from tests.contract.registry import METHODS, Method
from tests.support import COUNTS

ON_JAX = keras.backend.backend() == "jax"
SIZES = (12, 12, 12, 8 if ON_JAX else 7)
"""Of the global batches, three times over. The last one is short, and no number of devices divides
it; JAX repeats such rows, and counts them as often in what it logs: the variation "short"."""


class Batches(keras.utils.PyDataset):
    """The global batches, of which a process takes its own rows."""

    def __init__(
        self, sizes: Sequence[int] = SIZES, mixed: bool = False, weighted: bool = False
    ) -> None:
        super().__init__()
        rng = np.random.default_rng(3)
        self.batches = []
        for size in sizes:
            # One sample of the rarest class: no more than one replica sees it.
            y = np.sort(rng.choice(4, size)).astype("int32")
            y[-1] = 4
            x = rng.normal(size=(size, 6, 6, 2)).astype("float32") + y[:, None, None, None] * 0.3
            second = {"labels": y, "second_labels": y[::-1].copy()}
            targets = {**second, "mix": np.full(size, 0.8, "float32")} if mixed else y
            weights = np.linspace(0.2, 2.0, size).astype("float32")
            self.batches.append((x, targets, weights) if weighted else (x, targets))

    def __len__(self) -> int:
        return 3 * len(self.batches)

    def __getitem__(self, index: int) -> Any:
        batch = self.batches[index % len(self.batches)]
        own = backend.batch_rows(len(batch[0]))
        return keras.tree.map_structure(lambda rows: rows[own], batch)


def model_of(
    method: Method, norm: str, dropout: float = 0.0, channels: int = 2, **options: Any
) -> cc.SharpnessAwareModel:
    """A network of four channels with `norm`, from weights that every process makes itself."""
    inputs = keras.Input((6, 6, channels))
    x = inputs if channels == 2 else keras.layers.Rescaling(1 / 64)(inputs)
    x = keras.layers.Conv2D(4, 3, kernel_regularizer="l2")(x)
    if norm == "batch":
        x = cc.layers.BatchNormalization()(x)
    else:
        x = keras.layers.GroupNormalization(2)(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.ReLU()(x))
    x = keras.layers.Dense(8, activation="tanh")(x)
    if dropout:
        x = keras.layers.Dropout(dropout, seed=7)(x)
    model = cc.SharpnessAwareModel(
        keras.Model(inputs, x), method.head(), method.sharpness(), weight_decay=1e-3, **options
    )
    # Other weights in each process: training starts from those of the first one. JAX refuses them.
    rng = np.random.default_rng(1 if ON_JAX else 1 + backend.process_index())
    for variable in [*model.backbone.variables, *model.head.variables]:
        if "seed" not in variable.path and "moving" not in variable.path:
            variable.assign(0.4 * rng.normal(size=variable.shape) + ("gamma" in variable.path))
    return model


def train(
    model: Any,
    data: Any,
    loss: Any,
    callbacks: Sequence[Any] = (),
    epochs: int = 1,
    **options: Any,
) -> dict[str, np.ndarray]:
    """Weights, statistics, and what is logged."""
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9, **options)
    model.compile(optimizer, loss, metrics=["accuracy"])
    for seeds in (model.loss_seeds, getattr(model, "method_seeds", None)):
        if seeds is not None:
            seeds.state.assign(np.array([5, 0], "uint32"))
    fit = {"epochs": epochs, "shuffle": False, "verbose": 0}
    history = model.fit(data, callbacks=[*callbacks], **fit).history
    parts = [*model.backbone.weights, *model.head.weights]
    found = {f"{i} {w.name}": ops.convert_to_numpy(w) for i, w in enumerate(parts)}
    return {**found, **{f"log {k}": np.array(v) for k, v in history.items()}}


def replica_sync(sharpness: Any) -> Any:
    """The method, perturbed by each replica's own rows."""
    return type(sharpness).from_config({**sharpness.get_config(), "sync": "replica"})


def translating() -> cc.m2m.MajorToMinor:
    """M2m with a helper that finds much of what it is shown convincing."""
    inputs = keras.Input((6, 6, 2))
    outputs = keras.layers.Dense(5)(keras.layers.Flatten()(inputs))
    helper = keras.Model(inputs, outputs)
    rng = np.random.default_rng(2)
    for variable in helper.variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return cc.m2m.MajorToMinor(
        helper, COUNTS, beta=0.9, gamma=0.05, steps=2, pixel_range=(-3.0, 3.0), seed=1
    )


def pictures(**options: Any) -> Any:
    """Batches of 12 of 48 images of this package's own making."""
    rng = np.random.default_rng(4)
    y = np.repeat(np.arange(5), [20, 12, 8, 5, 3]).astype("int32")
    x = rng.integers(0, 128, (48, 6, 6, 1)) + 25 * y[:, None, None, None]
    data = cc.data.from_arrays(x.astype("uint8"), y)
    return data.batches("train", batch_size=12, seed=1, **options)


def refused(model: Any, data: Any) -> dict[str, np.ndarray]:
    """Whether training is refused in words."""
    try:
        train(model, data, "sparse_categorical_crossentropy")
    except ValueError as error:
        return {"refused": np.array("see the rows of one" in str(error))}
    return {"refused": np.array(False)}


def run(name: str) -> dict[str, np.ndarray]:
    """One run: `norm:method@variation`, the last one of those below or none."""
    norm, rest = name.split(":", 1)
    method, _, variation = rest.partition("@")
    entry, loss = METHODS[method], METHODS[method].loss()
    data: Any = Batches()
    model: dict[str, Any] = {}
    options: dict[str, Any] = {}
    if variation == "replica":
        sharpness = entry.sharpness
        entry = dataclasses.replace(entry, sharpness=lambda: replica_sync(sharpness()))
    elif variation == "own statistics":
        model = {"batch_norm_sync": "replica"}
    elif variation == "clipped":
        options = {"global_clipnorm": 0.1}
    elif variation == "bounded":
        options = {"callbacks": [cc.callbacks.MaxNorm(0.0)]}
    elif variation == "short":
        data = Batches((12, 12, 1, 7))
    elif variation == "mixed":
        data = Batches(mixed=True, weighted=True)
    elif variation == "weighted":
        data = Batches(weighted=True)
        loss = type(loss)(from_logits=True, reduction="mean_with_sample_weight")
    elif variation == "dropout":
        model = {"dropout": 0.5}
    elif variation == "views":
        # With CUDA's levels, of a network that all replicas judge together.
        augment = cc.data.Curriculum(probability=1.0, start=1)
        data = pictures(views=cc.data.views.RegMixup(), augment=(augment,))
        levels = cc.callbacks.Curriculum(data, accept=0.3)
        model, options = {"channels": 1}, {"callbacks": [levels], "epochs": 3}
    elif variation == "terms":
        data = pictures(views=cc.data.views.Mixtures())
        model = {"channels": 1, "terms": [cc.terms.GLMC(data.class_counts)]}
        keras.utils.set_random_seed(3)  # a term's own layers draw their weights
        made = model_of(entry, norm, **model)
        if not ON_JAX and backend.trained_by(made) > 1:
            return refused(made, data)
        return train(made, data, loss, epochs=3)
    elif variation == "translated":
        model = {"step_parts": [translating()]}
    else:
        assert not variation, variation
    return train(model_of(entry, norm, **model), data, loss, **options)


def all_runs(names: list[str]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """Each run by its name."""
    for name in names:
        yield name, run(name)
        print(name, f"{time.process_time():.0f} s", flush=True)


def flat(results: Any) -> dict[str, np.ndarray]:
    """Of all runs, for one file."""
    return {f"{name}|{key}": value for name, run in results for key, value in run.items()}


def start(devices: int) -> Any:
    """Joins the other processes, or shares the devices of this one: a context."""
    if backend.join_processes():
        return backend.share_devices(1)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        one = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(cpu, [one] * devices)
        # A graph that runs for milliseconds is not worth making faster first.
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    return backend.share_devices(devices)


def work(out: Path, devices: int, names: list[str]) -> None:
    """One process's part."""
    warnings.simplefilter("ignore")  # of the few rows that a replica has here
    with start(devices):
        found = flat(all_runs(names))
    # All processes log the same.
    logs = np.concatenate([value for key, value in sorted(found.items()) if "|log" in key])
    np.testing.assert_array_equal(backend.broadcast_host(logs), logs)
    if backend.process_index() == 0:
        np.savez(out, **found)
    print("trained", flush=True)


def main(out: str, devices: str, *names: str) -> None:
    work(Path(out), int(devices), list(names))
