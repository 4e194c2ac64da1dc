"""What the second stage costs beside the first, at the paper's schedule.

CIFAR-10-LT at imbalance ratio 100 (12,406 images of 32 x 32; fabricated, as no time depends on
what they show), ResNet-32, batch 64: 200 epochs of CC-SAM on the head, then 30 epochs of the
classifier alone, on adversarial features, from features that are computed once. The second stage is
run whole: the features of all images, then 30 epochs of steps. Of the first a few steps are timed,
after one that compiles, and multiplied by the 200 epochs' number: linear extrapolation.

    KERAS_BACKEND=torch python benchmarks/stage2.py [--steps 10] [--epochs 30]

Writes benchmarks/results/stage2-<backend>-<device>.json, prints it, and whether the target holds
(exit status 1 if not): at most 1 % of stage 1's processor time.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record

CLASSES, RATIO, BATCH, EPOCHS = 10, 100, 64, 200
TARGET = 0.01
KEY = ("images", "stage1_steps", "stage2_steps")


def now() -> tuple[float, float]:
    """The clock and the processor's."""
    return time.perf_counter(), time.process_time()


def since(start: tuple[float, float]) -> tuple[float, float]:
    """Wall-clock and processor seconds."""
    return time.perf_counter() - start[0], time.process_time() - start[1]


def measure(steps: int, epochs: int) -> dict[str, Any]:
    """Seconds of both stages."""
    import keras
    import numpy as np

    import keras_ccsam as cc

    counts = [int(5000 * RATIO ** (-c / (CLASSES - 1))) for c in range(CLASSES)]
    y = np.repeat(np.arange(CLASSES), counts)
    x = np.random.default_rng(0).integers(0, 256, (len(y), 32, 32, 3), dtype=np.uint8)
    data = cc.data.from_arrays(x, y)
    train = data.batches("train", batch_size=BATCH, drop_remainder=True)
    keras.utils.set_random_seed(0)
    model = cc.CCSAM(cc.models.ResNet32(), class_counts=data.class_counts)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss, metrics=["accuracy"])
    model.fit(train, steps_per_epoch=1, verbose=0)
    start = now()
    model.fit(train, steps_per_epoch=steps, verbose=0)
    step = [seconds / steps for seconds in since(start)]

    began: list[tuple[float, float]] = []
    clock = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: began.append(now()))
    start = now()
    stage2 = cc.second_stage.Retraining(epochs=epochs)
    history = stage2.run(model, train, callbacks=[clock])
    total = since(start)
    extraction = [begin - first for begin, first in zip(began[0], start, strict=True)]
    stage1 = [seconds * EPOCHS * len(train) for seconds in step]
    return {
        "images": len(y),
        "stage1_steps": EPOCHS * len(train),
        "stage1_steps_timed": steps,
        "stage2_steps": len(history.epoch) * len(train),
        **{
            f"{clock_name}{what}": round(seconds[index], 4)
            for index, clock_name in enumerate(("", "cpu_"))
            for what, seconds in (
                ("stage1_step_seconds", step),
                ("stage1_seconds", stage1),
                ("features_seconds", extraction),
                ("stage2_seconds", total),
            )
        },
        "share": round(total[0] / stage1[0], 5),
        "cpu_share": round(total[1] / stage1[1], 5),
    }


def main() -> int:
    """Measures, prints and writes; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=10, help="of stage 1 to time")
    parser.add_argument("--epochs", type=int, default=30, help="of stage 2")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    import keras

    found = measure(options.steps, options.epochs)
    for name, value in found.items():
        print(f"{name:24} {value}")
    held = found["cpu_share"] <= TARGET
    print(f"target {TARGET}: {'held' if held else 'MISSED'}")
    backend = keras.backend.backend()
    path = record.results_file(f"stage2-{backend}", record.device(), options.out)
    record.save(path, [found], KEY, backend)
    print("wrote", path)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
