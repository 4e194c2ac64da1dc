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
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.timing import Times, arrays, in_turn, seconds, summary

METHODS = ("cross-entropy", "ccsam-head", "sam", "ccsam-all")
KEY = ("backbone", "batch", "classes", "method")


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


def measure(
    backbone: str, batch: int, classes: int, methods: list[str], steps: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds per step and ratios to cross-entropy."""
    x, y, counts = arrays(batch, classes, steps)
    models = {method: build(method, backbone, classes, counts) for method in methods}
    # All weights take two passes per class: one step in one round is all there is time for.
    parts = {m: (x[:batch], y[:batch]) if m == "ccsam-all" else (x, y) for m in methods}
    for method, model in models.items():
        # The first call compiles; one of a single class spares all weights their many passes.
        seconds(model, x[:batch], y[:batch] * (method != "ccsam-all"), batch)
    times: dict[str, list[Times]] = {method: [] for method in methods}
    for number in range(rounds):
        for method in in_turn(methods, number):
            if method == "ccsam-all" and number >= 1:
                continue
            times[method].append(seconds(models[method], *parts[method], batch))
    return {method: summary(own, times["cross-entropy"]) for method, own in times.items()}


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
    return record.allocated()


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
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
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
                setting = (options.backbone, batch, classes, method)
                rows.append({**dict(zip(KEY, setting, strict=True)), **row})
                memory = f"{row['mib']:7.0f} {row['mib_ratio']:6.3f}" if options.memory else ""
                print(
                    f"{batch:5} {classes:7} {method:14} {row['ms_per_step']:8.1f} "
                    f"{row['ratio']:6.3f}   ({row['ratio_min']:.3f} - {row['ratio_max']:.3f}) "
                    f"{row['cpu_ratio']:8.3f}  {memory}",
                    flush=True,
                )
    backend = keras.backend.backend()
    path = record.results_file(f"step_cost-{backend}", record.device(), options.out)
    record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
