"""Keras CC-SAM against training loops written by hand in PyTorch.

The same network, first weights, batches and optimizer (SGD with momentum), in one run:

* `pytorch`: a plain loop of cross-entropy as everyone writes it (NCHW); the same, tuned
  (channels_last); and CC-SAM of the head, class by class;
* `keras-torch`, `keras-jax`, `keras-tensorflow`: `keras fit`, that is a functional model of Keras'
  own layers; and ours, on accelerated layers: `ce` (ERM), `ccsam` (of the head), `sam`.

Each framework has a process of its own, and one process computes at a time. They take turns for
several rounds, in reverse order every second round. A contender's ratio is the median over the
rounds of its time over that of PyTorch's plain loop in the same round, by the clock and in
processor time. Before anything is timed, the losses of the first two steps must agree among all who
descend the same function: that is the proof that they train the same network.

    python benchmarks/versus_pytorch.py [--networks resnet32 resnet50 vit] [--batch 64]
        [--backends torch jax tensorflow] [--rounds 5] [--threads 1] [--memory]

Writes benchmarks/results/versus_pytorch-<device>.json and prints a table. The first step holds the
compilation. `--memory` gives each contender another process, for its peak.
"""

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.timing import Times, in_turn, summary
from benchmarks.versus.agreement import Losses, check, tolerances
from benchmarks.versus.processes import Worker, write_weights
from benchmarks.versus.setting import KERAS, NETWORKS, PRECISIONS, PYTORCH, USUAL, Setting

KEY = ("network", "batch", "classes", "precision", "worker", "method")
BACKENDS = ("torch", "jax", "tensorflow")
BASE = ("pytorch", "ce")

Contender = tuple[str, str]
"""A worker and one of its methods."""


def contenders(backends: list[str], methods: list[str] | None) -> dict[Contender, str]:
    """All that take part, with the loss that each descends; the base always does."""
    everyone = {("pytorch", method): loss for method, loss in PYTORCH.items()}
    for backend in backends:
        everyone |= {(f"keras-{backend}", method): loss for method, loss in KERAS.items()}
    return {c: loss for c, loss in everyone.items() if not methods or c[1] in methods or c == BASE}


def measure(
    setting: Setting, who: dict[Contender, str], rounds: int, kernels: bool = False
) -> tuple[list[record.Row], str]:
    """A row for each contender, and the device. Checks first that they train the same network.

    With `kernels`, rows also say what share of a step no kernel of a GPU runs in.
    """
    names = list(dict.fromkeys(worker for worker, _ in who))
    times: dict[Contender, list[Times]] = {contender: [] for contender in who}
    losses: Losses = {}
    first_seconds = {}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(name, setting, [m for w, m in who if w == name]))
            for name in names
        }
        check_devices(workers)
        for worker, method in who:
            first, second = (workers[worker].ask(method=method, steps=1) for _ in range(2))
            losses[worker, method] = (first["loss"], second["loss"])
            first_seconds[worker, method] = first["seconds"]
        device = workers[BASE[0]].device
        print(check(losses, who, tolerances(setting.precision, device)), flush=True)
        for number in range(rounds):
            for worker, method in in_turn(list(who), number):
                took = workers[worker].ask(method=method, steps=setting.steps)
                pair = (took["seconds"], took["processor_seconds"])
                times[worker, method].append((pair[0] / setting.steps, pair[1] / setting.steps))
        in_kernels = {
            (worker, method): workers[worker].ask(kernels=method, steps=setting.steps)["seconds"]
            for worker, method in (who if kernels else ())
        }
    rows = []
    for contender, own in times.items():
        row = {
            "network": setting.network,
            "batch": setting.batch,
            "classes": setting.classes,
            "precision": setting.precision,
            "worker": contender[0],
            "method": contender[1],
            **summary(own, times[BASE]),
            "images_per_second": round(setting.batch / statistics.median(t[0] for t in own), 1),
            "first_step_seconds": round(first_seconds[contender], 2),
            "first_loss": round(losses[contender][0], 6),
            "steps": setting.steps,
        }
        if (took_kernels := in_kernels.get(contender)) is not None:
            step = setting.steps * statistics.median(t[0] for t in own)
            row["share_outside_kernels"] = round(1 - took_kernels / step, 3)
        rows.append(row)
    return rows, device


def check_devices(workers: dict[str, Worker]) -> None:
    """A CPU beside a GPU would be no comparison."""
    devices = {name: worker.device for name, worker in workers.items()}
    if len({device == "cpu" for device in devices.values()}) > 1:
        raise ValueError(
            "All workers must compute on the same kind of device; leave some out with --backends, "
            f"or hide the GPU with CUDA_VISIBLE_DEVICES=. Received: devices={devices}"
        )


def add_memory(rows: list[record.Row], setting: Setting) -> None:
    """Each contender's peak in a process of its own, and what of it the steps took."""
    for row in rows:
        with Worker(row["worker"], setting, [row["method"]]) as worker:
            worker.ask(method=row["method"], steps=min(2, setting.steps))
            row |= worker.ask(peak=True)
    base = next(row for row in rows if (row["worker"], row["method"]) == BASE)
    for row in rows:
        row["mib_of_steps_ratio"] = round(row["mib_of_steps"] / base["mib_of_steps"], 3)


def show(rows: list[record.Row]) -> None:
    """A table on the screen."""
    print(f"{'contender':36}  ms/step images/s    x PyTorch (min - max)  cpu x  1st step, s   MiB")
    for row in rows:
        print(
            f"{row['worker'] + ': ' + row['method']:36} {row['ms_per_step']:8.1f} "
            f"{row['images_per_second']:8.1f} {row['ratio']:12.3f} "
            f"({row['ratio_min']:.3f} - {row['ratio_max']:.3f}) {row['cpu_ratio']:6.3f} "
            f"{row['first_step_seconds']:10.1f} {row.get('mib_of_steps', ''):>8}",
            flush=True,
        )


def main() -> None:
    """Measures, prints and writes, network by network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(USUAL))
    parser.add_argument("--batch", type=int, nargs="+", help="by default, each network's own")
    parser.add_argument("--classes", type=int, nargs="+", default=[10])
    parser.add_argument("--backends", nargs="*", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--methods", nargs="+", choices=sorted({*PYTORCH, *KERAS}))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of a round; by default, each network's own")
    parser.add_argument("--threads", type=int, default=1, help="of each worker")
    parser.add_argument("--precision", choices=PRECISIONS, default="float32")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.threads)  # the record says so
    who = contenders(options.backends, options.methods)
    for network in options.networks:
        known = NETWORKS[network]
        for batch in options.batch or known.batches:
            for classes in options.classes:
                with tempfile.TemporaryDirectory() as folder:
                    setting = Setting(
                        network=network,
                        batch=batch,
                        classes=classes,
                        steps=options.steps or known.steps,
                        precision=options.precision,
                        threads=options.threads,
                        weights=str(Path(folder) / "weights.npz"),
                    )
                    print(f"{network}, batch {batch}, {classes} classes, {options.precision}")
                    write_weights(setting)
                    rows, device = measure(setting, who, options.rounds)
                    if options.memory:
                        add_memory(rows, setting)
                show(rows)
                path = record.results_file("versus_pytorch", device, options.out)
                record.save(path, rows, KEY, None, device=device)
    print("wrote", path)


if __name__ == "__main__":
    main()
