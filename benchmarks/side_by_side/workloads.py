"""The rows of the check: what is done, some tenths of a second of it at a time.

Each is made by the benchmark that measures it in full, where there is one. Nothing of the package
is imported before a row is made: two processes make it of two revisions.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

BACKENDS = ("torch", "jax", "tensorflow")

Work = Callable[[int], object]
"""Does so many units, to the end of their computation."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """A row.

    Args:
        name: benchmark and case.
        make: the work; may write into the folder that it is given.
        backends: on which it is measured. What NumPy computes is measured beside one.
    """

    name: str
    make: Callable[[Path], Work]
    backends: tuple[str, ...] = BACKENDS


class Fit:
    """An epoch of `fit` over arrays, `each` steps per unit."""

    def __init__(self, model: Any, x: Any, y: Any, batch: int, each: int = 1) -> None:
        self.model, self.x, self.y, self.batch, self.each = model, x, y, batch, each

    def __call__(self, units: int) -> None:
        import numpy as np

        images = units * self.each * self.batch
        if len(self.y) != images:  # once: the number of units stays
            self.x = np.resize(self.x, (images, *self.x.shape[1:]))
            self.y = np.resize(self.y, images)
        self.model.fit(self.x, self.y, batch_size=self.batch, shuffle=False, verbose=0)


def tiny_step(kind: str, each: int = 1, **options: Any) -> Callable[[Path], Work]:
    """Steps of a network that costs nothing, `each` per execution; the options are the model's."""

    def make(folder: Path) -> Work:
        import keras

        from benchmarks import fixed_costs

        x, y = fixed_costs.inputs(64)
        compiled = {"steps_per_execution": each} if each > 1 else {}
        model = fixed_costs.build(kind, fixed_costs.tiny(), ["accuracy"], compiled, **options)
        # `fit` itself takes as long as four steps on PyTorch, and as long as fifty on TensorFlow.
        steps = 64 if keras.backend.backend() == "tensorflow" else 32
        return Fit(model, x, y, fixed_costs.BATCH, steps)

    return make


def step(method: str) -> Callable[[Path], Work]:
    """Steps of a small network of convolutions."""

    def make(folder: Path) -> Work:
        from benchmarks import step_cost, timing

        x, y, counts = timing.arrays(32, 10, 8)
        return Fit(step_cost.build(method, "resnet8", 10, counts), x, y, 32)

    return make


def whole_network(folder: Path) -> Work:
    """Steps of CC-SAM of all weights."""
    from benchmarks import timing
    from benchmarks import whole_network as benchmark

    x, y, counts = timing.arrays(64, 10, 8)
    return Fit(benchmark.build("two passes", "mlp", 10, counts), x, y, 64)


def batches(data_on: str) -> Callable[[Path], Work]:
    """Epochs over cropped and mirrored images, of a network that costs next to nothing."""

    def make(folder: Path) -> Work:
        import keras

        import keras_ccsam as cc
        from benchmarks import timing

        x, y, counts = timing.arrays(32, 10, 16)
        options: dict[str, Any] = {} if data_on == "host" else {"data_on": data_on}
        sequence = cc.data.from_arrays(x, y).batches(
            batch_size=32, augment=("crop", "flip"), workers=1, **options
        )
        keras.utils.set_random_seed(0)
        features = keras.Sequential([keras.layers.Rescaling(1 / 255), keras.layers.Flatten()])
        method = cc.sharpness.ClassConditional(counts)
        model = cc.SharpnessAwareModel(features, keras.layers.Dense(10), method)
        model.compile(keras.optimizers.SGD(0.01), "sparse_categorical_crossentropy")
        return lambda units: model.fit(sequence, epochs=units, verbose=0)

    return make


def landscape(folder: Path) -> Work:
    """Points of a landscape."""
    from benchmarks import landscape as benchmark

    model = benchmark.network("small_cnn", "")
    return benchmark.landscape(model, *benchmark.images("small_cnn"))


def pipeline(stage: str) -> Callable[[Path], Work]:
    """Batches of a stage of `pipeline.py`."""

    def make(folder: Path) -> Work:
        import numpy as np

        from benchmarks import pipeline as benchmark
        from keras_ccsam import data

        images = np.random.default_rng(0).integers(0, 256, (4096, 32, 32, 3), dtype=np.uint8)
        made = data.from_arrays(images, np.arange(len(images)) % 10)
        return taken(made.batches(batch_size=128, **benchmark.STAGES[stage]))

    return make


def decoding(folder: Path) -> Work:
    """Batches of 8 JPEG files, decoded, cropped to 224 pixels and mirrored."""
    from benchmarks import decoding_contenders, photographs
    from keras_ccsam import data

    names, _ = photographs.make(folder / "files", 32, 2)
    size, resize = decoding_contenders.SIZE, decoding_contenders.RESIZE
    store = data.ImageFiles(names, folder / "files", size=size, resize=resize)
    augment = ("random_resized_crop", "flip")
    made = data.from_arrays(store, [number % 2 for number in range(len(names))])
    return taken(made.batches(batch_size=8, augment=augment, workers=1))


def taken(sequence: Any) -> Work:
    """Batches of a sequence, one after the other."""

    def work(units: int) -> None:
        for number in range(units):
            epoch, step = divmod(number, len(sequence))
            if step == 0:
                sequence.set_epoch(epoch)
            sequence[step]

    return work


def sampler(name: str) -> Callable[[Path], Work]:
    """Plans of an epoch of 100,000 images."""

    def make(folder: Path) -> Work:
        from benchmarks import samplers
        from keras_ccsam.data.batches.samplers import epoch_plan

        y = samplers.labels(2000, 100_000)

        def work(units: int) -> None:
            for epoch in range(units):
                epoch_plan(name, y, seed=0, epoch=epoch, epochs=100)

        return work

    return make


def augmentation(name: str) -> Callable[[Path], Work]:
    """Batches of 128 smooth images of 32 pixels."""

    def make(folder: Path) -> Work:
        import numpy as np

        from benchmarks import augmentations

        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 256, (128, 8, 8, 3)).astype("uint8")
        x = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)

        def work(units: int) -> None:
            for number in range(units):
                augmentations.OURS[name](x, np.random.default_rng(number))

        return work

    return make


_HOST = ("torch",)
WORKLOADS = (
    Workload("pipeline: crop, flip, mixup", pipeline("gather + crop + flip + mixup"), _HOST),
    Workload("decoding: JPEG files", decoding, _HOST),
    Workload("samplers: class_balanced", sampler("class_balanced"), _HOST),
    Workload("augmentations: RandAugment", augmentation("RandAugment"), _HOST),
    Workload("fixed_costs: ccsam", tiny_step("ccsam")),
    Workload("fixed_costs: ccsam, flat_step=False", tiny_step("ccsam", flat_step=False), _HOST),
    Workload("fixed_costs: ccsam, 8 steps per execution", tiny_step("ccsam", each=8)),
    Workload("step_cost: ccsam", step("ccsam-head")),
    Workload("step_cost: sam", step("sam")),
    Workload("whole_network: ccsam of all weights", whole_network),
    Workload("batches: data on the host", batches("host")),
    Workload("batches: data on the device", batches("device")),
    Workload("landscape: small_cnn", landscape),
)
