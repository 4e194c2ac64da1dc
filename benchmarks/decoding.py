"""Images per second of pipelines that decode JPEG files, beside each other on the same files.

Each pipeline runs in a process of its own, which may use one core or two. A call to warm up reads
some batches; then one epoch over all images is timed twice. "Per core" is images per second of
processor time, worker processes included, so that other programs on the machine do not count.

    python benchmarks/decoding.py [--images 20000] [--cores 1,2] [--folder FOLDER]

The files are made first (`benchmarks/photographs.py`): 20,000 of them take some minutes and 1 GB.
Prints a table, and writes benchmarks/results/decoding.json.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.decoding_contenders import BATCH, CONTENDERS  # noqa: E402
from benchmarks.photographs import make  # noqa: E402

KEY = ("pipeline", "transform", "cores", "images")
CLASSES = 1000


def measure(name: str, root: Path, images: int, train: bool, cores: int) -> dict[str, Any]:
    """One pipeline, in this process: two epochs after some batches."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    names, labels = make(root, images, CLASSES)
    # In no order, as a set would be: an epoch in order reads neighbours of the disk.
    order = random.Random(0).sample(range(len(names)), len(names))
    names, labels = [names[i] for i in order], [labels[i] for i in order]
    few = min(len(names), 2 * BATCH)
    make_epochs = CONTENDERS[name][1]
    warm = make_epochs(root, names, labels, train, cores)
    for read, _ in enumerate(warm(0)):
        if read * BATCH >= few:
            break
    rounds, peaks = [], []
    for number in (1, 2):
        wall, processor = time.perf_counter(), _processor()
        count = sum(len(batch[1]) for batch in warm(number))
        rounds.append((count, time.perf_counter() - wall, _processor() - processor))
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    # The quicker epoch: what is left of it is the machine's.
    count, wall, processor = min(rounds, key=lambda each: each[2])
    return {
        "pipeline": name,
        "transform": "train" if train else "test",
        "cores": cores,
        "images": count,
        "images_per_second_core": round(count / processor, 1),
        "images_per_second": round(count / wall, 1),
        "peak_mib": [round(peak) for peak in peaks],
    }


def _processor() -> float:
    """Seconds of processor time of this process and of those that it has waited for."""
    found = os.times()
    return found.user + found.system + found.children_user + found.children_system


def main() -> int:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20_000, help="files")
    parser.add_argument("--cores", default="1,2", help="numbers of cores, with commas")
    parser.add_argument("--folder", default=None, help="for the files; a temporary one without it")
    parser.add_argument("--only", default=",".join(CONTENDERS), help="pipelines, with commas")
    parser.add_argument("--out", default=None, help="folder of the results")
    parser.add_argument("--alone", default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.alone:
        name, transform, cores = arguments.alone.split(",")
        root = Path(arguments.folder)
        row = measure(name, root, arguments.images, transform == "train", int(cores))
        print("\n" + json.dumps(row))
        return 0

    from benchmarks import record

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(arguments.folder or temporary) / "files"
        began = time.perf_counter()
        make(root, arguments.images, CLASSES)
        print(f"files: {time.perf_counter() - began:.0f} s")
        rows = []
        print(
            f"{'pipeline':20}{'transform':>10}{'cores':>6}{'per core':>10}{'clock':>8}{'MiB':>14}"
        )
        for cores in map(int, arguments.cores.split(",")):
            for transform in ("train", "test"):
                for name in arguments.only.split(","):
                    row = _alone(name, transform, cores, root, arguments.images)
                    if row is None:
                        continue
                    rows.append(row)
                    print(
                        f"{name:20}{transform:>10}{cores:>6}{row['images_per_second_core']:>10,.0f}"
                        f"{row['images_per_second']:>8,.0f}{row['peak_mib']!s:>14}",
                        flush=True,
                    )
    path = record.results_file("decoding", folder=arguments.out or record.RESULTS)
    record.save(path, rows, KEY, None)
    print("wrote", path)
    return 0


def _alone(name: str, transform: str, cores: int, root: Path, images: int) -> dict[str, Any] | None:
    """A pipeline in a process of its own; None where it cannot run here."""
    done = subprocess.run(
        [
            *(sys.executable, __file__, "--alone", f"{name},{transform},{cores}"),
            *("--folder", str(root), "--images", str(images)),
        ],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        print(f"{name:20}{transform:>10}{cores:>6}  cannot run here: {last}", flush=True)
        return None
    row: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return row


if __name__ == "__main__":
    sys.exit(main())
