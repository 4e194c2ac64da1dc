"""Seconds to plan an epoch of iNaturalist 2018: 437,513 images of 8,142 classes.

The counts fall exponentially from about 1,000 images to 2, as those of the set do roughly. "A core"
is processor time; the plan is made by one thread, before an epoch's first batch. `cpu_ratio` is
that over the time of a permutation of as many numbers in the same round.

    python benchmarks/samplers.py [--classes 8142] [--images 437513]

Exit status 1 if a sampler takes a second or more of processor time. Writes
benchmarks/results/samplers.json.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks import record
from benchmarks.timing import spread
from keras_ccsam.data import SAMPLERS
from keras_ccsam.data.batches.samplers import epoch_plan

KEY = ("sampler", "classes", "images")
TARGET = 1.0
ROUNDS = 5


def labels(classes: int, images: int) -> np.ndarray:
    """(N,) int32 in a random order, the counts falling exponentially to 2."""
    shape = np.exp(np.linspace(np.log(1000), np.log(2), classes))
    counts = np.maximum(2, np.floor(shape * images / shape.sum())).astype(int)
    missing = images - counts.sum()
    counts[: abs(missing)] += np.sign(missing)
    return np.random.default_rng(0).permutation(np.repeat(np.arange(classes), counts)).astype("i4")


def main() -> int:
    """Measures, prints, writes; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--classes", type=int, default=8142)
    parser.add_argument("--images", type=int, default=437_513)
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    y = labels(arguments.classes, arguments.images)
    rows = []
    for sampler in SAMPLERS:
        core, wall, base = [], [], []
        for epoch in range(ROUNDS):
            start, processor = time.perf_counter(), time.process_time()
            epoch_plan(sampler, y, seed=0, epoch=epoch, epochs=ROUNDS)
            core.append(time.process_time() - processor)
            wall.append(time.perf_counter() - start)
            processor = time.process_time()
            np.random.default_rng(epoch).permutation(len(y))
            base.append(time.process_time() - processor)
        row = {"sampler": sampler, "classes": arguments.classes, "images": len(y)}
        row |= {
            "seconds_core": round(statistics.median(core), 4),
            "seconds": round(statistics.median(wall), 4),
        }
        row |= spread("cpu_ratio", [a / b for a, b in zip(core, base, strict=True)])
        rows.append(row)
        print(f"{sampler:24}{row['seconds_core']:8.3f} s{row['seconds']:8.3f} s by the clock")
    passed = all(row["seconds_core"] < TARGET for row in rows)
    print("pass" if passed else "FAIL", f": target {TARGET:g} s of processor time")
    path = record.results_file("samplers", folder=arguments.out)
    record.save(path, rows, KEY, None, target=TARGET, passed=passed)
    print("wrote", path)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
