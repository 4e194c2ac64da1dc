"""Images per second of pipelines that decode JPEG files, beside each other on the same files.

Each pipeline runs in a process of its own, which may use one core or two, and reads some batches to
warm up. Then they take turns of some batches each, until all have read two epochs: what else the
machine does meanwhile falls on all of them. "Per core" is images per second of processor time in
the quicker epoch, worker processes included; memory is what the process itself holds at the end of
each epoch.

    python benchmarks/decoding.py [--images 20000] [--cores 1,2] [--folder FOLDER]

The files are made first (`benchmarks/photographs.py`): 20,000 of them take some minutes and 1 GB.
Prints a table, and writes benchmarks/results/decoding.json.
"""

import argparse
import itertools
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ["CUDA_VISIBLE_DEVICES"] = ""
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.decoding_contenders import BATCH, CONTENDERS  # noqa: E402
from benchmarks.photographs import make  # noqa: E402

KEY = ("pipeline", "transform", "cores", "images")
CLASSES = 1000
READY = "ready\n"
TURN = 8  # batches


def measure(name: str, root: Path, images: int, train: bool, cores: int) -> None:
    """One pipeline, in this process: says when it is ready, then has a turn per line read."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    names, labels = make(root, images, CLASSES)
    # In no order, as a set would be: an epoch in order reads neighbours of the disk.
    order = random.Random(0).sample(range(len(names)), len(names))
    names, labels = [names[i] for i in order], [labels[i] for i in order]
    few = min(len(names), 2 * BATCH)
    epoch = CONTENDERS[name][1](root, names, labels, train, cores)
    for read, _ in enumerate(epoch(0)):
        if read * BATCH >= few:
            break
    print(READY, end="", flush=True)
    for number in (1, 2):
        processor, count, batches, left = _processor(), 0, epoch(number), True
        while left:
            sys.stdin.readline()
            turn = list(itertools.islice((len(batch[1]) for batch in batches), TURN))
            count += sum(turn)
            left = len(turn) == TURN
            row = {"images": count, "seconds_core": _processor() - processor, "mib": _held()}
            print(json.dumps({**row, "left": left}), flush=True)


def _held() -> int:
    """MiB that this process holds now; where the system does not say, at most so far."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="utf-8").splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


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
        measure(name, root, arguments.images, transform == "train", int(cores))
        return 0

    from benchmarks import record

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(arguments.folder or temporary) / "files"
        began = time.perf_counter()
        make(root, arguments.images, CLASSES)
        print(f"files: {time.perf_counter() - began:.0f} s")
        rows = []
        print(f"{'pipeline':20}{'transform':>10}{'cores':>6}{'per core':>10}{'MiB':>14}")
        for cores in map(int, arguments.cores.split(",")):
            for transform in ("train", "test"):
                setting = (transform, cores, root, arguments.images)
                for row in _in_turns(arguments.only.split(","), *setting):
                    rows.append(row)
                    print(
                        f"{row['pipeline']:20}{transform:>10}{cores:>6}"
                        f"{row['images_per_second_core']:>10,.0f}"
                        f"{row['mib']!s:>14}",
                        flush=True,
                    )
    path = record.results_file("decoding", folder=arguments.out or record.RESULTS)
    record.save(path, rows, KEY, None)
    print("wrote", path)
    return 0


def _in_turns(
    names: list[str], transform: str, cores: int, root: Path, images: int
) -> Iterator[dict[str, Any]]:
    """The rows of some pipelines, each in a process of its own; none of what cannot run here."""
    running: dict[str, subprocess.Popen[str]] = {}
    for name in names:
        process = subprocess.Popen(
            [
                *(sys.executable, __file__, "--alone", f"{name},{transform},{cores}"),
                *("--folder", str(root), "--images", str(images)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if READY in iter(_stdout(process).readline, ""):
            running[name] = process
        else:
            last = (process.communicate()[1].strip().splitlines() or ["no message"])[-1]
            print(f"{name:20}{transform:>10}{cores:>6}  cannot run here: {last}", flush=True)
    turns: dict[str, list[dict[str, Any]]] = {name: [] for name in running}
    for _ in (1, 2):
        left = list(running)
        while left:
            for name in list(left):
                print(file=running[name].stdin, flush=True)
                lines = iter(_stdout(running[name]).readline, "")
                row = json.loads(next(line for line in lines if line.startswith("{")))
                if not row["left"]:
                    left.remove(name)
                    turns[name].append(row)
    for name, process in running.items():
        process.communicate()
        # The quicker epoch: what is left of it is the machine's.
        best = min(turns[name], key=lambda turn: turn["seconds_core"])
        yield {
            "pipeline": name,
            "transform": transform,
            "cores": cores,
            "images": best["images"],
            "images_per_second_core": round(best["images"] / best["seconds_core"], 1),
            "mib": [turn["mib"] for turn in turns[name]],
        }


def _stdout(process: "subprocess.Popen[str]") -> IO[str]:
    """What a process prints."""
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    return process.stdout


if __name__ == "__main__":
    sys.exit(main())
