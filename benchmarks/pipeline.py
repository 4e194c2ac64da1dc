"""Images per second and core of the input pipeline.

Times what a training step waits for: gathering a batch of 32 x 32 x 3 uint8 images, then with crop
and flip, with mixup on top, and with Cutout. One thread; "a core" is processor time, so that other
programs on the machine do not count, and the wall-clock figure stands beside it.

    python benchmarks/pipeline.py [--images 20000] [--batch 128] [--seconds 2]

Prints a table and whether crop + flip + mixup reaches 25,000 images/s per core (exit status 1 if
not), and writes benchmarks/results/pipeline.json.
"""

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from benchmarks import record  # noqa: E402
from benchmarks.timing import spread  # noqa: E402
from keras_ccsam import data as ccdata  # noqa: E402

TARGET = 25_000
KEY = ("batch", "images", "stage")
STAGES: dict[str, dict[str, Any]] = {
    "gather": {"augment": ()},
    "gather + crop + flip": {"augment": ("crop", "flip")},
    "gather + crop + flip + mixup": {"augment": ("crop", "flip"), "mixup": 1.0},
    "gather + crop + flip + cutout": {"augment": ("crop", "flip", "cutout")},
}
JUDGED = "gather + crop + flip + mixup"
ROUNDS = 5


def measure(batches: ccdata.BatchSequence, seconds: float) -> tuple[float, float]:
    """Images per second of processor time and of wall-clock time, for about `seconds`."""
    images, epoch = 0, 0
    wall, processor = time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        batches.set_epoch(epoch)  # the sampler's plan of an epoch is part of the cost
        for step in range(len(batches)):
            images += len(batches[step][0])
            if time.perf_counter() - wall >= seconds:
                break
        epoch += 1
    return images / (time.process_time() - processor), images / (time.perf_counter() - wall)


def main() -> int:
    """Measures, prints, writes; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000, help="images in the data set")
    parser.add_argument("--batch", type=int, default=128, help="images per batch")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each stage")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    arguments = parser.parse_args()

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, size=(arguments.images, 32, 32, 3), dtype=np.uint8)
    data = ccdata.from_arrays(images, np.arange(arguments.images) % 10)
    sequences = {
        name: data.batches(batch_size=arguments.batch, **options)
        for name, options in STAGES.items()
    }
    rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in STAGES}
    for _ in range(ROUNDS):  # stages interleaved: a slow moment of the machine hits all of them
        for name, batches in sequences.items():
            rounds[name].append(measure(batches, arguments.seconds / ROUNDS))

    rows = []
    print(f"{'stage':32}{'images/s per core':>18}{'wall clock':>14}{'x gather':>10}")
    for name, pairs in rounds.items():
        core, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        # Time over the time of gathering alone, in the same round: what a slow machine leaves.
        both = list(zip(rounds["gather"], pairs, strict=True))
        row = {
            "batch": arguments.batch,
            "images": arguments.images,
            "stage": name,
            "images_per_second_core": round(core),
            "images_per_second": round(wall),
            **spread("ratio", [base[1] / own[1] for base, own in both]),
            **spread("cpu_ratio", [base[0] / own[0] for base, own in both]),
        }
        rows.append(row)
        print(f"{name:32}{core:18,.0f}{wall:14,.0f}{row['cpu_ratio']:10.2f}")
        if name == JUDGED:
            reached = core >= TARGET
    verdict = "pass" if reached else "FAIL"
    print(f"{verdict}: target {TARGET:,} images/s per core for {JUDGED}")
    path = record.results_file("pipeline", folder=arguments.out)
    record.save(path, rows, KEY, None, target=TARGET, judged=JUDGED, passed=reached)
    print("wrote", path)
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
