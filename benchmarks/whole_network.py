"""What CC-SAM of *all* weights costs beside cross-entropy.

On one network, batch and optimizer each, interleaved in one process:

* `cross-entropy`: Keras' own `fit`;
* `two passes`: `perturb="all"` where no layer couples samples (GroupNorm, frozen BatchNorm,
  LayerNorm), or, on a network with BatchNorm in training, `batch_norm="clean"`;
* `class loop`: the literal passes, two per class; one step in one round is all there is time for.

A method's ratio is the median over the rounds of its time over cross-entropy's in the same round,
by the clock and in processor time, which other programs on the machine disturb less. Memory is the
peak of a process of its own for each method, with and without what that process held before the
first step: the first ratio is what a user sees, the second what the method takes.

    KERAS_BACKEND=torch python benchmarks/whole_network.py [--networks resnet32-group mlp]
        [--classes 10 100] [--batch 128] [--loop] [--memory]

Writes benchmarks/results/whole_network-<backend>-<device>.json and prints a table. Target: at most
2.5 x the time and the memory of cross-entropy at 100 classes, batch 128.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import networks, record
from benchmarks.timing import Times, arrays, in_turn, seconds, summary

NETWORKS = ("resnet32-group", "resnet32-frozen", "resnet32-batch", "mlp", "vit")
METHODS = ("cross-entropy", "two passes", "class loop")
KEY = ("network", "batch", "classes", "method")


def backbone(network: str) -> Any:
    """From images (32, 32, 3) to features."""
    from keras import layers

    import keras_ccsam as cc

    if network.startswith("resnet32"):
        kind = "group" if network.endswith("group") else "batch"
        model = cc.models.build("resnet32", (32, 32, 3), normalization_layers=kind)
        for layer in model.layers:
            if network.endswith("frozen") and isinstance(layer, layers.BatchNormalization):
                layer.trainable = False
        return model
    return networks.mlp() if network == "mlp" else networks.vit()


def build(method: str, network: str, classes: int, counts: list[int]) -> Any:
    """A compiled model: a plain functional one for cross-entropy."""
    import keras

    import keras_ccsam as cc

    keras.utils.set_random_seed(0)
    features, head = backbone(network), keras.layers.Dense(classes)
    if method == "cross-entropy":
        model = keras.Model(features.inputs, head(features.outputs[0]))
    else:
        clean = network == "resnet32-batch" and method == "two passes"
        sharpness = cc.sharpness.ClassConditional(
            counts, perturb="all", batch_norm="clean" if clean else "literal"
        )
        model = cc.SharpnessAwareModel(features, head, sharpness)
        if method == "class loop":
            sharpness._route = lambda model: None
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # At rate 0 a step costs the same, and a network whose BatchNorm is frozen before any training
    # stays finite.
    model.compile(keras.optimizers.SGD(0.0, momentum=0.9), loss)
    return model


def measure(
    network: str, batch: int, classes: int, methods: list[str], rounds: int
) -> dict[str, dict[str, float]]:
    """Milliseconds per step and ratios to cross-entropy."""
    x, y, counts = arrays(batch, classes, 2)
    models = {method: build(method, network, classes, counts) for method in methods}
    for method, model in models.items():
        # The first call compiles, and on PyTorch the fourth is the first that is a flat program; a
        # batch of a single class spares the loop its many passes.
        for _ in range(1 if method == "class loop" else 3):
            seconds(model, x[:batch], y[:batch] * (method != "class loop"), batch)
    times: dict[str, list[Times]] = {method: [] for method in methods}
    for number in range(rounds):
        for method in in_turn(methods, number):
            if method == "class loop" and number > 0:
                continue
            part = batch if method == "class loop" else len(y)
            times[method].append(seconds(models[method], x[:part], y[:part], batch))
    rows = {method: summary(own, times["cross-entropy"]) for method, own in times.items()}
    for row in rows.values():
        row["classes_in_batch"] = len(set(y[:batch].tolist()))
    return rows


def peak_memory(network: str, batch: int, classes: int, method: str) -> tuple[float, float]:
    """MiB of a process that trains three steps of one method, and of these before the first."""
    command = [sys.executable, __file__, "--networks", network, "--batch", str(batch)]
    command += ["--classes", str(classes), "--peak-of", method]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    peak, before = done.stdout.strip().splitlines()[-1].split()
    return float(peak), float(before)


def own_peak(network: str, batch: int, classes: int, method: str) -> tuple[float, float]:
    """MiB, measured in this process: peak, and what was there before the first step."""
    x, y, counts = arrays(batch, classes, 3)
    if method == "class loop":
        y = y * 0  # its peak is that of any one class
    model = build(method, network, classes, counts)
    before = record.start_of_peak()
    seconds(model, x, y, batch)
    return record.allocated(), before


def add_memory(rows: dict[str, dict[str, float]], network: str, batch: int, classes: int) -> None:
    """Adds each method's peak and its ratios to cross-entropy's."""
    peaks = {method: peak_memory(network, batch, classes, method) for method in rows}
    base, before = peaks["cross-entropy"]
    for method, (peak, start) in peaks.items():
        rows[method]["mib"] = round(peak, 1)
        rows[method]["mib_ratio"] = round(peak / base, 3)
        rows[method]["mib_of_steps"] = round(peak - start, 1)
        rows[method]["mib_of_steps_ratio"] = round((peak - start) / (base - before), 3)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 100])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--loop", action="store_true", help="time the class loop too")
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    parser.add_argument("--peak-of", choices=METHODS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peak_of:
        print(*own_peak(options.networks[0], options.batch, options.classes[0], options.peak_of))
        return
    import keras

    backend = keras.backend.backend()
    path = record.results_file(f"whole_network-{backend}", record.device(), options.out)
    methods = list(METHODS if options.loop else METHODS[:2])
    print(
        "network         classes method          ms/step    x CE  cpu x CE   MiB, x CE, steps x CE"
    )
    for network in options.networks:
        for classes in options.classes:
            measured = measure(network, options.batch, classes, methods, options.rounds)
            if options.memory:
                add_memory(measured, network, options.batch, classes)
            rows = []
            for method, row in measured.items():
                setting = (network, options.batch, classes, method)
                rows.append({**dict(zip(KEY, setting, strict=True)), **row})
                memory = [row.get(k, "") for k in ("mib", "mib_ratio", "mib_of_steps_ratio")]
                print(
                    f"{network:15} {classes:7} {method:14} {row['ms_per_step']:8.1f} "
                    f"{row['ratio']:7.3f} {row['cpu_ratio']:9.3f}  ",
                    *memory,
                    flush=True,
                )
            # After each setting: a long run that is cut short keeps what it has measured.
            record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
