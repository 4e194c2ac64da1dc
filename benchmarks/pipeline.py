"""Images per second and core of the input pipeline.

Times what a training step waits for: gathering a batch of 32 x 32 x 3 uint8 images, then with crop
and flip, with mixup on top, and with Cutout. One thread; "a core" is processor time, so that other
programs on the machine do not count, and the wall-clock figure stands beside it.

    python benchmarks/pipeline.py [--images 20000] [--batch 128] [--seconds 2]

Prints a table and whether crop + flip + mixup reaches 25,000 images/s a core (exit status 1 if
not), and writes benchmarks/results/pipeline.json.
"""

import argparse
import datetime
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras  # noqa: E402
import numpy as np  # noqa: E402

from keras_ccsam import data as ccdata  # noqa: E402

TARGET = 25_000
RESULTS = Path(__file__).parent / "results" / "pipeline.json"
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


def machine() -> dict[str, Any]:
    """Processor, cores and versions."""
    model = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
    }


def write(path: Path, content: dict[str, Any]) -> None:
    """Writes JSON whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "w") as file:
        file.write(json.dumps(content, indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def main() -> int:
    """Measures, prints, writes; 1 if the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000, help="images in the data set")
    parser.add_argument("--batch", type=int, default=128, help="images a batch")
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each stage")
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

    results = {}
    print(f"{'stage':32}{'images/s a core':>18}{'wall clock':>14}")
    for name, pairs in rounds.items():
        core, wall = (statistics.median(column) for column in zip(*pairs, strict=True))
        results[name] = {"images_per_second_core": round(core), "images_per_second": round(wall)}
        print(f"{name:32}{core:18,.0f}{wall:14,.0f}")
    reached = results[JUDGED]["images_per_second_core"] >= TARGET
    verdict = "pass" if reached else "FAIL"
    print(f"{verdict}: target {TARGET:,} images/s a core for {JUDGED}")
    write(
        RESULTS,
        {
            "command": "python benchmarks/pipeline.py "
            f"--images {arguments.images} --batch {arguments.batch} "
            f"--seconds {arguments.seconds:g}",
            "date": datetime.date.today().isoformat(),
            "machine": machine(),
            "target": TARGET,
            "judged": JUDGED,
            "passed": reached,
            "results": results,
        },
    )
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
