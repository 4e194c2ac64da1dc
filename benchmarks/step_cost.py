"""What a training step costs beside Keras' own.

Times Keras' cross-entropy `fit`, CC-SAM on the head, SAM, and CC-SAM on all weights, on the same
ResNet-32, batches and optimizer, interleaved in one process: every round runs each method once, and
a method's figure is the median over the rounds of its time over cross-entropy's in the same round,
once by the clock and once in processor time, which other programs on the machine disturb less.
Peak memory is that of a process of its own for each method (`--memory`): on a GPU what the
framework allocated, on a CPU the process's resident set.

    KERAS_BACKEND=torch python benchmarks/step_cost.py [--batch 64] [--classes 10 100] [--memory]

Writes benchmarks/results/step_cost-<backend>-<device>.json and prints a table. Targets: CC-SAM
(head) at most 1.03 x the time and 1.05 x the memory of cross-entropy, SAM at most 2.1 x the time.
"""

import argparse
import datetime
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

METHODS = ("cross-entropy", "ccsam-head", "sam", "ccsam-all")
RESULTS = Path(__file__).parent / "results"


def arrays(batch: int, classes: int, steps: int) -> tuple[Any, Any, list[int]]:
    """Batches of a long-tailed CIFAR-like set, and its counts."""
    import numpy as np

    counts = [int(5000 * 100 ** (-c / (classes - 1))) for c in range(classes)]
    rng = np.random.default_rng(0)
    share = np.array(counts) / sum(counts)
    y = rng.choice(classes, batch * steps, p=share).astype("int32")
    x = rng.integers(0, 256, (batch * steps, 32, 32, 3)).astype("uint8")
    return x, y, counts


def build(method: str, backbone: str, classes: int, counts: list[int]) -> Any:
    """A compiled model: a plain functional one for cross-entropy."""
    import keras

    import keras_ccsam as cc

    keras.utils.set_random_seed(0)
    features = cc.models.build(backbone, (32, 32, 3))
    head = keras.layers.Dense(classes)
    if method == "cross-entropy":
        model = keras.Model(features.inputs, head(features.outputs[0]))
    else:
        sharpness = {
            "ccsam-head": lambda: cc.sharpness.ClassConditional(counts),
            "ccsam-all": lambda: cc.sharpness.ClassConditional(counts, perturb="all"),
            "sam": lambda: cc.sharpness.SAM(0.05),
        }[method]()
        model = cc.SharpnessAwareModel(features, head, sharpness)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return model


def seconds(model: Any, x: Any, y: Any, batch: int) -> tuple[float, float]:
    """Wall-clock and processor time of one step, from a `fit` over the arrays."""
    wall, processor = time.perf_counter(), time.process_time()
    model.fit(x, y, batch_size=batch, epochs=1, shuffle=False, verbose=0)
    steps = len(y) // batch
    return (time.perf_counter() - wall) / steps, (time.process_time() - processor) / steps


def measure(
    backbone: str, batch: int, classes: int, methods: list[str], steps: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds a step and ratios to cross-entropy."""
    x, y, counts = arrays(batch, classes, steps)
    models = {method: build(method, backbone, classes, counts) for method in methods}
    # All weights take two passes a class: one step in one round is all there is time for.
    parts = {m: (x[:batch], y[:batch]) if m == "ccsam-all" else (x, y) for m in methods}
    for method, model in models.items():
        # The first call compiles; one of a single class spares all weights their many passes.
        seconds(model, x[:batch], y[:batch] * (method != "ccsam-all"), batch)
    times: dict[str, list[tuple[float, float]]] = {method: [] for method in methods}
    for number in range(rounds):
        order = methods if number % 2 == 0 else methods[::-1]
        for method in order:
            if method == "ccsam-all" and number >= 1:
                continue
            times[method].append(seconds(models[method], *parts[method], batch))
    return {method: summary(own, times["cross-entropy"]) for method, own in times.items()}


def summary(own: list[tuple[float, float]], base: list[tuple[float, float]]) -> dict[str, float]:
    """Medians over the rounds; ratios are of the same round."""
    wall = [mine[0] / its[0] for mine, its in zip(own, base, strict=False)]
    processor = [mine[1] / its[1] for mine, its in zip(own, base, strict=False)]
    return {
        "ms_per_step": round(1000 * statistics.median(t[0] for t in own), 2),
        "ratio": round(statistics.median(wall), 4),
        "ratio_min": round(min(wall), 4),
        "ratio_max": round(max(wall), 4),
        "cpu_ms_per_step": round(1000 * statistics.median(t[1] for t in own), 2),
        "cpu_ratio": round(statistics.median(processor), 4),
        "rounds": len(own),
    }


def peak_memory(backbone: str, batch: int, classes: int, method: str) -> float:
    """MiB of a process that trains three steps of one method."""
    command = [sys.executable, __file__, "--backbone", backbone, "--batch", str(batch)]
    command += ["--classes", str(classes), "--peak-of", method]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.strip().splitlines()[-1])


def own_peak(backbone: str, batch: int, classes: int, method: str) -> float:
    """MiB, measured in this process."""
    x, y, counts = arrays(batch, classes, 3)
    model = build(method, backbone, classes, counts)
    seconds(model, x, y, batch)
    return allocated()


def allocated() -> float:
    """The peak so far in MiB: of a GPU's allocator, else of the process's resident set."""
    import keras

    name = keras.backend.backend()
    if name == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**20
    if name == "jax":
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in stats:
            return stats["peak_bytes_in_use"] / 2**20
    if name == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def device() -> str:
    """`cpu`, or the GPU that the backend computes on."""
    import keras

    name = keras.backend.backend()
    if name == "torch":
        import torch

        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    if name == "jax":
        import jax

        first = jax.devices()[0]
        return "cpu" if first.platform == "cpu" else str(first.device_kind)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "cpu"


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="resnet32")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 128])
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--steps", type=int, default=4, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peak-of", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print(own_peak(options.backbone, options.batch[0], options.classes[0], options.peak_of))
        return
    methods = [m for m in METHODS if m in {*options.methods, "cross-entropy"}]
    import keras

    rows = []
    print("batch classes method          ms/step   x CE   (min - max)    cpu x CE   MiB, x CE")
    for batch in options.batch:
        for classes in options.classes:
            measured = measure(
                options.backbone, batch, classes, methods, options.steps, options.rounds
            )
            for method, row in measured.items():
                if options.memory:
                    row["mib"] = round(peak_memory(options.backbone, batch, classes, method), 1)
                    row["mib_ratio"] = round(row["mib"] / measured["cross-entropy"]["mib"], 4)
                row["date"] = datetime.date.today().isoformat()
                rows.append({"batch": batch, "classes": classes, "method": method, **row})
                memory = f"{row['mib']:7.0f} {row['mib_ratio']:6.3f}" if options.memory else ""
                print(
                    f"{batch:5} {classes:7} {method:14} {row['ms_per_step']:8.1f} "
                    f"{row['ratio']:6.3f}   ({row['ratio_min']:.3f} - {row['ratio_max']:.3f}) "
                    f"{row['cpu_ratio']:8.3f}  {memory}",
                    flush=True,
                )
    name = device()
    record = {
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
        "python": platform.python_version(),
        "device": name,
        "cores": os.cpu_count(),
        "backbone": options.backbone,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "rows": rows,
    }
    slug = "".join(c if c.isalnum() else "-" for c in name.lower())
    path = RESULTS / f"step_cost-{keras.backend.backend()}-{slug}.json"
    if path.is_file():
        # Settings measured in an earlier call stay; each row says when and how it was measured.
        measured_now = {(row["batch"], row["classes"], row["method"]) for row in rows}
        earlier = json.loads(path.read_text())["rows"]
        kept = [r for r in earlier if (r["batch"], r["classes"], r["method"]) not in measured_now]
        record["rows"] = sorted([*kept, *rows], key=lambda r: (r["batch"], r["classes"]))
    path.write_text(json.dumps(record, indent=1) + "\n")
    print("wrote", path)


if __name__ == "__main__":
    main()
