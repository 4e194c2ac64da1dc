"""What training costs whatever the network: a step's own work, the import, the first step.

Steps: `fit` of a network so small (8 -> 16 -> 10, batch 32) that little but these costs is left,
by Keras' own step of the functional model; by Keras' own step of the same layers in a subclass, a
backbone and a head, which is what the next two are; by our step without a sharpness method; and by
CC-SAM on the head, whose mathematics come on top. Rounds interleave the models in one process, and
ratios are medians of the rounds', as in step_cost.py. What our step adds is its ratio to Keras'
step of the subclass.

Import: `import keras_ccsam` in new processes, after Keras. First step: of ResNet-32 at batch 64 in
new processes, compilation included; on JAX once more with the programs that the process before
kept (`ccsam --compile-cache`).

    KERAS_BACKEND=torch python benchmarks/fixed_costs.py [--parts steps import first-step]

Writes benchmarks/results/fixed_costs-<backend>-<device>.json, prints tables and whether the targets
hold (exit status 1 if not): our step at most 1.05 times Keras', the import at most 0.3 s.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record, timing

MODELS = ("keras", "keras-subclass", "erm", "ccsam")
BATCH, CLASSES = 32, 10
COUNTS = [int(1000 * 100 ** (-c / (CLASSES - 1))) for c in range(CLASSES)]
KEY = ("part", "model", "metrics", "programs")
STEP_TARGET, IMPORT_TARGET = 1.05, 0.3
_IMPORT = """
import time, keras
wall, processor = time.perf_counter(), time.process_time()
import keras_ccsam
print(time.perf_counter() - wall, time.process_time() - processor)
"""


def build(
    kind: str,
    backbone: Any,
    metrics: list[str] | None = None,
    compiled: dict[str, Any] | None = None,
    **options: Any,
) -> Any:
    """A compiled model over a functional backbone; with options for `compile` and for our model."""
    import keras

    import keras_ccsam as cc

    class Subclass(keras.Model):
        def __init__(self, backbone: Any, head: Any) -> None:
            super().__init__()
            self.backbone, self.head = backbone, head

        def call(self, inputs: Any, training: bool | None = None) -> Any:
            return self.head(self.backbone(inputs, training=training), training=training)

    head = keras.layers.Dense(CLASSES)
    if kind == "keras":
        model = keras.Model(backbone.inputs, head(backbone.outputs[0]))
    elif kind == "keras-subclass":
        model = Subclass(backbone, head)
    else:
        method = cc.sharpness.ERM() if kind == "erm" else cc.sharpness.ClassConditional(COUNTS)
        model = cc.SharpnessAwareModel(backbone, head, method, **options)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.SGD(0.1, momentum=0.9)
    model.compile(rate, loss, metrics=metrics, **(compiled or {}))
    return model


def tiny() -> Any:
    """8 -> 16, a fresh one."""
    import keras

    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(16, activation="relu")(inputs))


def inputs(steps: int) -> tuple[Any, Any]:
    """Inputs (N, 8) of the tiny network and labels (N,) that are drawn as the counts have it."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * steps, 8)).astype("float32")
    return x, timing.labels(COUNTS, BATCH * steps, rng)


def time_steps(steps: int, rounds: int) -> list[dict[str, Any]]:
    """Milliseconds per step of each model, and their ratios to both of Keras' own."""
    x, y = inputs(steps)
    rows = []
    for metrics in (None, ["accuracy"]):
        models = {kind: build(kind, tiny(), metrics) for kind in MODELS}
        for model in models.values():
            timing.seconds(model, x[: 2 * BATCH], y[: 2 * BATCH], BATCH)
        times: dict[str, list[tuple[float, float]]] = {kind: [] for kind in MODELS}
        for number in range(rounds):
            for kind in timing.in_turn(MODELS, number):
                times[kind].append(timing.seconds(models[kind], x, y, BATCH))
        for kind in MODELS:
            row = timing.summary(times[kind], times["keras-subclass"])
            functional = timing.summary(times[kind], times["keras"])
            row |= {f"{prefix}x_keras": functional[f"{prefix}ratio"] for prefix in ("", "cpu_")}
            rows.append({"model": kind, "metrics": ",".join(metrics or []), **row})
    return rows


def time_import(processes: int) -> dict[str, float]:
    """Seconds of `import keras_ccsam` after Keras; the first process writes the byte code."""
    found = []
    for _ in range(processes + 1):
        done = subprocess.run(
            [sys.executable, "-c", _IMPORT],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        )
        found.append([float(word) for word in done.stdout.split()])
    wall, processor = (statistics.median(column) for column in zip(*found[1:], strict=True))
    return {
        "seconds": round(wall, 3),
        "cpu_seconds": round(processor, 3),
        "processes": processes,
    }


def time_first_steps() -> list[dict[str, Any]]:
    """Seconds of each model's first step, with an empty folder of programs and with a full one."""
    import keras

    rows = []
    times = 2 if keras.backend.backend() == "jax" else 1
    for kind in ("keras", "ccsam"):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, __file__, "--first-step-of", kind, "--programs", folder]
            for number in range(times):
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                row = {"model": kind, "programs": "kept" if number else "none"}
                rows.append(row | {"seconds": round(float(done.stdout.split()[-1]), 2)})
    return rows


def first_step(kind: str, folder: str) -> float:
    """Seconds of the first step in this process."""
    import numpy as np

    import keras_ccsam as cc
    from keras_ccsam import backend

    model = build(kind, cc.models.build("resnet32", (32, 32, 3)))
    x = np.zeros((64, 32, 32, 3), "uint8")
    y = timing.labels(COUNTS, 64, np.random.default_rng(0))
    with backend.keep_programs(folder):
        start = time.perf_counter()
        model.fit(x, y, batch_size=64, verbose=0)
        return time.perf_counter() - start


def print_steps(rows: list[dict[str, Any]]) -> bool:
    """The table; whether our step keeps its target."""
    print("model           metrics   ms/step    x Keras   x its step of the subclass (processor)")
    for row in rows:
        print(
            f"{row['model']:15} {row['metrics'] or '-':9} {row['ms_per_step']:7.3f} "
            f"{row['x_keras']:6.3f} ({row['cpu_x_keras']:.3f})   "
            f"{row['ratio']:6.3f} ({row['cpu_ratio']:.3f})"
        )
    worst = max(row["cpu_ratio"] for row in rows if row["model"] == "erm")
    return verdict("our step, times Keras' own", worst, STEP_TARGET)


def verdict(what: str, value: float, target: float) -> bool:
    """Prints and returns whether a target holds."""
    held = value <= target
    print(f"{what}: {value:.3f}, target {target}: {'held' if held else 'MISSED'}", flush=True)
    return held


def main() -> int:
    """Measures, prints and writes; 1 if a target is missed."""
    parts = ("steps", "import", "first-step")
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--steps", type=int, default=1000, help="of a round")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--processes", type=int, default=7, help="that import")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    parser.add_argument("--first-step-of", choices=MODELS, help=argparse.SUPPRESS)
    parser.add_argument("--programs", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first_step_of:
        print(first_step(options.first_step_of, options.programs))
        return 0
    import keras

    backend = keras.backend.backend()
    held = True
    rows: list[record.Row] = []
    if "steps" in options.parts:
        found = time_steps(options.steps, options.rounds)
        held &= print_steps(found)
        rows += [{"part": "steps", "steps": options.steps, **row} for row in found]
    if "import" in options.parts:
        taken = time_import(options.processes)
        held &= verdict("import after Keras, s", taken["seconds"], IMPORT_TARGET)
        rows.append({"part": "import", **taken})
    if "first-step" in options.parts:
        for row in time_first_steps():
            print(f"first step, {row['model']:6} programs: {row['programs']}  {row['seconds']} s")
            rows.append({"part": "first-step", "network": "resnet32", "batch": 64, **row})
    path = record.results_file(f"fixed_costs-{backend}", record.device(), options.out)
    record.save(path, rows, KEY, backend)
    print("wrote", path)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
