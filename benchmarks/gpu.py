"""All that a GPU has to tell, in one command of ten minutes that goes on where it stopped.

    python benchmarks/gpu.py --data cifar10_lt.npz [--minutes 10] [--only steps schedule memory]
    python benchmarks/gpu.py --toy  # the same on a CPU, in a minute: nothing that it says counts

Pieces, in this order, each in processes of its own:

* `steps`: milliseconds per step of cross-entropy, CC-SAM and SAM, of each backend that is
  installed, beside loops written by hand in PyTorch (eager, channels_last, compiled, a CUDA graph),
  as `versus_pytorch.py` measures them; and the share of a step in which no kernel runs. ResNet-32
  at batch 128 and ResNet-50 at 224 pixels, in TF32, bfloat16 and float32.
* `schedule`: the paper's schedule (ResNet-32, 200 + 30 epochs, CIFAR-10-LT at ratio 100) for ce,
  crt and ccsam, seed after seed while there is time: last epoch, many/medium/few, seconds of a run.
* `memory`: the peak of each contender, in another process.

A piece whose rows are there is not measured again. One is begun while there is time for it; one
that is cut off by the end goes on at the next call (a schedule from its last state). The data is an
npz of CIFAR-10-LT (`x_train`, `y_train`, `x_test`, `y_test`), or the folder that `ccsam data`
keeps. Nothing is downloaded if it is given.

Writes benchmarks/results/gpu-<device>.json (steps) and gpu_schedule-<device>.json.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record, versus_pytorch
from benchmarks.versus.processes import write_weights
from benchmarks.versus.setting import PYTORCH_TUNED, Setting

ROOT = Path(__file__).resolve().parents[1]
SCHEDULE_KEY = ("data", "recipe", "seed", "backend")
RECIPES = ("ce", "crt", "ccsam")
LEFT_FOR_WRITING = 15.0
"""Seconds before the end at which a piece is asked to stop."""


@dataclass(frozen=True)
class Piece:
    """One thing to measure.

    Attributes:
        name: what it is called on the screen.
        kind: `"steps"`, `"schedule"` or `"memory"`.
        seconds: that it is expected to take, on a recent GPU.
        run: measures and writes it, until a moment of `time.monotonic`.
        is_there: whether all of it has been written.
    """

    name: str
    kind: str
    seconds: float
    run: Callable[[float], None]
    is_there: Callable[[], bool]


def carried_out(
    pieces: list[Piece], deadline: float, clock: Callable[[], float] = time.monotonic
) -> list[str]:
    """Measures what is not there while there is time; returns a line on each piece.

    One that fails is told of and leaves the others alone.
    """
    said = []
    for piece in pieces:
        if piece.is_there():
            said.append(f"{piece.name}: was there")
            continue
        if clock() + piece.seconds > deadline:
            said.append(f"{piece.name}: no time left for its {piece.seconds:.0f} s")
            continue
        began = clock()
        print(f"\n{piece.name} ...", flush=True)
        try:
            piece.run(deadline)
        except Exception as error:
            said.append(f"{piece.name}: FAILED: {str(error).strip() or type(error).__name__}")
        else:
            end = "measured" if piece.is_there() else "cut off, goes on at the next call"
            said.append(f"{piece.name}: {end}, {clock() - began:.0f} s")
        print(said[-1], flush=True)
    return said


class Steps:
    """The pieces that time steps.

    Args:
        options: of the command.
        device: on which they are measured.
    """

    def __init__(self, options: argparse.Namespace, device: str) -> None:
        self.options, self.device = options, device
        self.path = record.results_file("gpu", device, options.out)
        self.rounds = 1 if options.toy else 5

    def pieces(self) -> Iterator[Piece]:
        """One for each network and precision, and those of memory."""
        shapes = [("resnet8", 8, 2, 30.0)] if self.options.toy else []
        shapes = shapes or [("resnet32", 128, 50, 75.0), ("resnet50-224", 64, 20, 110.0)]
        precisions = ("tf32",) if self.options.toy else ("tf32", "bfloat16", "float32")
        for network, batch, steps, seconds in shapes:
            for precision in precisions:
                kind = (network, batch, precision, steps)
                yield self._piece("steps", kind, seconds)
        for network, batch, steps, seconds in shapes:
            yield self._piece("memory", (network, batch, precisions[0], steps), 2 * seconds)

    def _piece(self, kind: str, what: tuple[str, int, str, int], seconds: float) -> Piece:
        network, batch, precision, _ = what
        name = f"{kind}: {network}, batch {batch}, {precision}"
        field = "ms_per_step" if kind == "steps" else "mib_of_steps"
        run = self._time if kind == "steps" else self._memory
        return Piece(
            name, kind, seconds, lambda _: run(what), lambda: bool(self._rows(what, field))
        )

    def _setting(self, what: tuple[str, int, str, int], folder: str) -> Setting:
        network, batch, precision, steps = what
        threads = 1 if self.options.toy else os.cpu_count() or 1
        return Setting(network, batch, 10, steps, precision, threads, f"{folder}/weights.npz")

    def _time(self, what: tuple[str, int, str, int]) -> None:
        who = versus_pytorch.contenders(self.options.backends, None)
        tuned = {("pytorch", name): loss for name, loss in PYTORCH_TUNED.items()}
        if self.device == "cpu":
            tuned = {}
        with tempfile.TemporaryDirectory() as folder:
            setting = self._setting(what, folder)
            write_weights(setting)
            failed = ""
            try:
                rows, device = versus_pytorch.measure(setting, who | tuned, self.rounds, True)
            except (
                RuntimeError
            ) as error:  # what only PyTorch's latest can do costs the rest nothing
                failed = str(error).strip().splitlines()[-1]
                print(f"without {', '.join(PYTORCH_TUNED)}: {failed}", flush=True)
                rows, device = versus_pytorch.measure(setting, who, self.rounds, True)
        versus_pytorch.show(rows)
        header = {"left_out": failed} if failed else {}
        record.save(self.path, rows, versus_pytorch.KEY, None, device=device, **header)

    def _memory(self, what: tuple[str, int, str, int]) -> None:
        rows = self._rows(what, "ms_per_step")
        if not rows:
            raise ValueError("the steps of this setting come first")
        with tempfile.TemporaryDirectory() as folder:
            setting = self._setting(what, folder)
            write_weights(setting)
            versus_pytorch.add_memory(rows, setting)
        record.save(self.path, rows, versus_pytorch.KEY, None, device=self.device)

    def _rows(self, what: tuple[str, int, str, int], field: str) -> list[record.Row]:
        known = ("network", "batch", "precision")
        return [
            row
            for row in record.load(self.path)["rows"]
            if tuple(row[name] for name in known) == what[:3] and field in row
        ]


class Schedules:
    """The pieces that train the paper's schedule; each goes on where it was cut off.

    Args:
        options: of the command.
        device: on which they are trained.
    """

    def __init__(self, options: argparse.Namespace, device: str) -> None:
        self.options, self.device = options, device
        self.path = record.results_file("gpu_schedule", device, options.out)
        self.data = "digits-lt" if options.toy else "cifar10-lt"

    def pieces(self) -> Iterator[Piece]:
        """One for each seed."""
        for seed in range(1 if self.options.toy else self.options.seeds):
            yield self._piece(seed)

    def _piece(self, seed: int) -> Piece:
        return Piece(
            f"schedule: {', '.join(RECIPES)}, seed {seed}",
            "schedule",
            60.0,  # what is done of it counts
            lambda deadline: self._train(seed, deadline),
            lambda: len(self._rows(seed)) == len(RECIPES),
        )

    def _train(self, seed: int, deadline: float) -> None:
        backend = self.options.backends[0]
        # Beside the results, not among them: a run's states are large.
        folder = Path(self.options.runs) / backend
        command = [sys.executable, "-m", "keras_ccsam_cli", "compare", *RECIPES]
        command += ["--data", self.data, "--seeds", str(seed + 1), "--backend", backend]
        command += ["--out", str(folder), "--quiet", "--json"]
        if self.options.toy:
            command += ["--set", "stage1.epochs=1", "--set", "stage2.epochs=1"]
        elif self.options.data is not None:
            command += ["--data-path", str(self.options.data)]
        done = _until(command, deadline - LEFT_FOR_WRITING)
        self._collect(folder, seed, backend)
        if done not in (0, 75):
            raise ValueError(f"ccsam compare ended with exit code {done}; see above")

    def _collect(self, folder: Path, seed: int, backend: str) -> None:
        rows = []
        for recipe in RECIPES:
            file = folder / f"{recipe}-seed{seed}" / "results.json"
            if not file.is_file():
                continue
            found = json.loads(file.read_text(encoding="utf-8"))
            kept = {key: found[key] for key in ("test", "stage1", "seconds", "ms_per_step")}
            rows.append(
                {"data": self.data, "recipe": recipe, "seed": seed, "backend": backend, **kept}
            )
        record.save(self.path, rows, SCHEDULE_KEY, backend, device=self.device)

    def _rows(self, seed: int) -> list[record.Row]:
        backend = self.options.backends[0]
        wanted = (self.data, seed, backend)
        return [
            row
            for row in record.load(self.path)["rows"]
            if (row["data"], row["seed"], row["backend"]) == wanted
        ]

    def show(self) -> None:
        """Means over the seeds, with their spread."""
        rows = record.load(self.path)["rows"]
        for recipe in RECIPES:
            own = [row["test"]["balanced"] for row in rows if row["recipe"] == recipe]
            if own:
                spread = statistics.stdev(own) if len(own) > 1 else float("nan")
                mean = 100 * statistics.mean(own)
                print(f"{recipe:8} {mean:6.2f} +- {100 * spread:.2f}, {len(own)} seeds")


def _until(command: list[str], deadline: float) -> int:
    """Exit code of a command that is asked to save and stop when the time is up."""
    environment = {**os.environ, "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    with subprocess.Popen(command, env=environment, cwd=ROOT) as process:
        try:
            return process.wait(max(deadline - time.monotonic(), 1.0))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(LEFT_FOR_WRITING)
        except subprocess.TimeoutExpired:
            process.kill()  # its last state is there
            return 75


def installed() -> list[str]:
    """The backends that can be imported, the fastest to start first."""
    return [name for name in ("torch", "jax", "tensorflow") if find_spec(name) is not None]


def main() -> int:
    """Measures what there is time for; the exit code says whether a piece failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz of CIFAR-10-LT, or its folder")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--only", nargs="+", choices=("steps", "schedule", "memory"))
    parser.add_argument("--backends", nargs="+", choices=versus_pytorch.BACKENDS)
    parser.add_argument("--seeds", type=int, default=5, help="of the schedule, at most")
    parser.add_argument("--runs", default="runs/gpu", help="folder of the schedule's runs")
    parser.add_argument("--toy", action="store_true", help="small, on any device")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    options.backends = options.backends or installed()
    device = _device(options.backends[0])
    if device == "cpu" and not options.toy:
        parser.error("there is no GPU here; --toy tries everything on a CPU")
    if options.toy and Path(options.out) == record.RESULTS:
        parser.error("--toy measures nothing that counts: give --out another folder")
    steps, schedules = Steps(options, device), Schedules(options, device)
    timed, trained = list(steps.pieces()), list(schedules.pieces())
    memory = [piece for piece in timed if piece.kind == "memory"]
    first = [piece for piece in timed if piece.kind == "steps"]
    # What everybody asks for first comes first: a step, an accuracy, and only then the rest.
    pieces = [*first[:1], *trained[:1], *first[1:], *trained[1:], *memory]
    pieces = [piece for piece in pieces if not options.only or piece.kind in options.only]
    said = carried_out(pieces, deadline)
    print("\n" + "\n".join(said))
    schedules.show()
    return int(any("FAILED" in line for line in said))


def _device(backend: str) -> str:
    """Asked in a process of its own: a framework that is imported here would hold the GPU."""
    code = f"from benchmarks import record; print(record.device({backend!r}))"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    if told.returncode:
        raise RuntimeError(f"{backend} does not start:\n{told.stderr[-2000:]}")
    return told.stdout.strip().splitlines()[-1]


if __name__ == "__main__":
    sys.exit(main())
