"""Images per second of each augmentation, beside Keras' own layers on the backend's device.

Ours work on uint8 batches on the host, in one thread. Keras' layers take the same batch as a float
tensor, as they do in a data pipeline or in front of a model, and are timed to the end of their
computation. "A core" is processor time, so that other programs on the machine do not count; on a
GPU the wall clock is what tells. `cpu_ratio` is a batch's time over that of gathering its images in
the same round.

    KERAS_BACKEND=jax python benchmarks/augmentations.py [--sizes 32 224] [--seconds 1]

Writes benchmarks/results/augmentations-<backend>-<device>.json.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402

from benchmarks import record  # noqa: E402
from benchmarks.timing import spread  # noqa: E402
from keras_ccsam import data as ccdata  # noqa: E402
from keras_ccsam.data.batches.cutmix import CutMix  # noqa: E402
from keras_ccsam.data.batches.mixup import Mixup  # noqa: E402

KEY = ("size", "augmentation")
BATCH = {32: 128, 224: 16}
ROUNDS = 5


def mixed(kind: Any, x: Any, rng: Any) -> Any:
    """A batch mixed with itself; the labels cost nothing."""
    way = kind.draw(1.0, len(x), x.shape[1:], rng)
    return way.pixels(x, x, way.order)


OURS: dict[str, Any] = {
    "crop + flip": lambda x, rng: ccdata.Flip()(ccdata.Crop()(x, rng), rng),
    "colour jitter": ccdata.ColorJitter(),
    "RandAugment": ccdata.RandAugment(),
    "AutoAugment": ccdata.AutoAugment("imagenet"),
    "TrivialAugment": ccdata.TrivialAugment(),
    "random erasing": ccdata.RandomErasing(),
    "Cutout": ccdata.Cutout(),
    "mixup": lambda x, rng: mixed(Mixup, x, rng),
    "CutMix": lambda x, rng: mixed(CutMix, x, rng),
}


def keras_layers(size: int) -> dict[str, keras.layers.Layer]:
    """Keras' layers for the same, where it has one; made in training mode, of values 0..255."""
    layers = keras.layers
    jitter = {"brightness_factor": 0.4, "contrast_factor": 0.4, "saturation_factor": (0.3, 0.7)}
    return {
        "crop + flip": keras.Sequential(
            [layers.RandomTranslation(0.125, 0.125, "constant"), layers.RandomFlip("horizontal")]
        ),
        "colour jitter": layers.RandomColorJitter(value_range=(0, 255), **jitter),
        "RandAugment": layers.RandAugment(value_range=(0, 255), num_ops=2, factor=0.3),
        "random erasing": layers.RandomErasing(factor=0.5, scale=(0.02, 0.4)),
        "mixup": layers.MixUp(alpha=1.0),
        "CutMix": layers.CutMix(factor=1.0),
    }


def rate(call: Callable[[], Any], images: int, seconds: float) -> tuple[float, float]:
    """Images per second of processor time and of wall-clock time, for about `seconds`."""
    done = 0
    wall, processor = time.perf_counter(), time.process_time()
    while done == 0 or time.perf_counter() - wall < seconds:
        call()
        done += images
    return done / (time.process_time() - processor), done / (time.perf_counter() - wall)


def of_keras(layer: keras.layers.Layer, x: np.ndarray) -> Callable[[], Any]:
    """A call of a layer on a batch that is on the device, read back when it is done."""
    images = keras.ops.convert_to_tensor(x.astype("float32"))
    mixes = isinstance(layer, keras.layers.MixUp | keras.layers.CutMix)
    labels = keras.ops.one_hot(np.arange(len(x)) % 10, 10)

    def call() -> Any:
        out = layer({"images": images, "labels": labels} if mixes else images, training=True)
        return keras.ops.convert_to_numpy(out["images"] if mixes else out).ravel()[0]

    call()
    return call


def main() -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224], help="pixels")
    parser.add_argument("--seconds", type=float, default=1.0, help="time for each")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    rows = []
    print(f"{'size':>5} {'augmentation':16}{'images/s per core':>18}{'of Keras layer':>16}{'x':>8}")
    for size in arguments.sizes:
        batch = BATCH.get(size, 16)
        rng = np.random.default_rng(0)
        # Smooth images: noise has all values in every channel, photographs do not.
        coarse = rng.integers(0, 256, size=(batch, 8, 8, 3)).astype("uint8")
        x = np.repeat(np.repeat(coarse, size // 8, axis=1), size // 8, axis=2)
        theirs = {name: of_keras(layer, x) for name, layer in keras_layers(size).items()}
        for name, augment in OURS.items():
            ours: list[tuple[float, float]] = []
            other: list[tuple[float, float]] = []
            gathered: list[float] = []
            for _ in range(ROUNDS):  # side by side: a slow moment of the machine hits both
                part = arguments.seconds / ROUNDS
                gathered.append(rate(partial(x.__getitem__, np.arange(batch)), batch, part / 4)[0])
                ours.append(rate(partial(augment, x, rng), batch, part))
                if name in theirs:
                    other.append(rate(theirs[name], batch, part))
            core, wall = (round(statistics.median(c)) for c in zip(*ours, strict=True))
            row = {"size": size, "batch": batch, "augmentation": name}
            row |= {"images_per_second_core": core, "images_per_second": wall}
            ratios = [base / own for base, (own, _) in zip(gathered, ours, strict=True)]
            row |= spread("cpu_ratio", ratios)
            told = ""
            if other:
                keras_core, keras_wall = (
                    round(statistics.median(c)) for c in zip(*other, strict=True)
                )
                row |= {"keras_core": keras_core, "keras": keras_wall}
                row["times_keras"] = round(core / keras_core, 2)
                told = f"{keras_core:16,}{row['times_keras']:8.1f}"
            rows.append(row)
            print(f"{size:5} {name:16}{core:18,}{told}", flush=True)
    backend = keras.backend.backend()
    device = f"{backend}-{record.device(backend)}"
    path = record.results_file("augmentations", device, arguments.out)
    record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
