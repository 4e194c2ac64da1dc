"""Has anything got slower? Short forms of the benchmarks against their recorded results.

    python benchmarks/check.py [--only step_cost] [--backends torch jax] [--tolerance 0.10]

Runs each benchmark of `BENCHMARKS` into a temporary folder and compares ratios with those of the
same rows in `benchmarks/results`, which stays as it is; see `comparison.py` for what is called
slower. Where something is, the benchmark runs a second time, and only what is slower both times is
named. Exit status: 1 if something got slower or a benchmark failed, else 0. Backends that are not
installed, and rows that were never recorded on such a device, are left out and named.
"""

import argparse
import dataclasses
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.comparison import Comparison, Slower, compare

BACKENDS = ("torch", "jax", "tensorflow")


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """A file of this folder that takes `--out FOLDER`, and the arguments of its short form."""

    name: str
    arguments: str
    backends: tuple[str, ...] = BACKENDS


BENCHMARKS = (
    Benchmark("pipeline", "", backends=("torch",)),  # computes with NumPy alone
    Benchmark("samplers", "", backends=("torch",)),
    Benchmark("augmentations", "--seconds 0.5", backends=("torch",)),
    Benchmark("fixed_costs", "--parts steps --steps 300 --rounds 5"),
    Benchmark("landscape", "--networks small_cnn --rounds 5"),
    Benchmark("whole_network", "--networks mlp --classes 100"),
    Benchmark(
        "step_cost", "--batch 64 --classes 10 --methods cross-entropy ccsam-head sam --rounds 3"
    ),
    Benchmark(
        "versus_pytorch",
        "--networks resnet32 --batch 64 --backends torch --rounds 3",
        backends=("torch",),
    ),
)


class BenchmarkFailed(Exception):
    """A benchmark ended with an error; the message is the last it said."""


def run(benchmark: Benchmark, backend: str, folder: Path) -> None:
    """Measures in a process of its own, and writes into `folder`.

    Raises:
        BenchmarkFailed: if it ends with an error.
    """
    script = Path(__file__).with_name(f"{benchmark.name}.py")
    command = [sys.executable, str(script), *benchmark.arguments.split(), "--out", str(folder)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ, "KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    # One that misses a target of its own says so by its exit status, too, but after it has written.
    if done.returncode and not any(folder.glob("*.json")):
        raise BenchmarkFailed((done.stdout + done.stderr)[-2000:])


def measured(benchmark: Benchmark, backend: str, tolerance: float) -> Comparison:
    """One run, compared with the recorded results."""
    total = Comparison([], [], 0)
    with tempfile.TemporaryDirectory() as folder:
        run(benchmark, backend, Path(folder))
        for path in sorted(Path(folder).glob("*.json")):
            own = compare(record.load(record.RESULTS / path.name), record.load(path), tolerance)
            total.slower += own.slower
            total.skipped += own.skipped
            total.compared += own.compared
    return total


def judged(benchmark: Benchmark, backend: str, tolerance: float) -> list[Slower]:
    """What is slower in two runs; prints what was compared and what was not."""
    first = measured(benchmark, backend, tolerance)
    for line in first.skipped:
        print(f"  skipped: {line}")
    slower = first.slower
    if slower:
        print(f"  slower: {len(slower)} of {first.compared}; once more", flush=True)
        names = {row.name for row in slower}
        again = measured(benchmark, backend, tolerance)
        slower = [row for row in again.slower if row.name in names]
    for row in slower:
        print(f"  SLOWER {row}")
    print(f"  {first.compared - len(slower)} of {first.compared} rows as fast as recorded")
    return slower


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs what is asked for; 1 if something got slower or failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = [benchmark.name for benchmark in BENCHMARKS]
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--tolerance", type=float, default=0.10, help="growth that is let pass")
    options = parser.parse_args(arguments)
    bad: list[str] = []
    for benchmark in BENCHMARKS:
        if benchmark.name not in options.only:
            continue
        for backend in benchmark.backends:
            if backend not in options.backends:
                continue
            title = f"{benchmark.name}, {backend}"
            if importlib.util.find_spec(backend) is None:
                print(f"{title}\n  skipped: {backend} is not installed")
                continue
            print(title, flush=True)
            if not any(record.RESULTS.glob(f"{benchmark.name}*.json")):
                print("  skipped: nothing recorded")
                continue
            try:
                bad += [str(row) for row in judged(benchmark, backend, options.tolerance)]
            except BenchmarkFailed as error:
                print(f"  FAILED\n{error}")
                bad.append(title)
    print(f"{len(bad)} slower or failed" if bad else "nothing got slower")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
