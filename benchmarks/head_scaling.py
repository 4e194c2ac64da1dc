"""What the head's part of a CC-SAM step costs against batch, classes and features.

Times the head alone (logits, loss, gradients of the features, kernel and bias) for cross-entropy,
and for CC-SAM with each of its two forms forced, whatever the shapes would choose (see
keras_ccsam/heads/class_averaging.py). Contenders take turns; a ratio is of the same round, and
processor time is what the tables and the plot show.

The whole step is that of ResNet-32 on 32 x 32 images (64 features) and of ResNet-50 on 64 x 64
(2,048), measured at one batch with ten classes and taken as linear in the batch, plus the head of
cross-entropy beyond ten classes at each size. The optimizer's work on a large head is left out,
which makes the share too large rather than too small. No network here has 512 features.

The class means are skipped where they would take more than 2^25 floats or 2^33 multiply-adds.

    KERAS_BACKEND=torch OMP_NUM_THREADS=1 python benchmarks/head_scaling.py

Writes benchmarks/results/head_scaling-<backend>-<device>.json and head_scaling-<backend>.svg, and
prints where CC-SAM takes more than 3 % of the step, and from which batch on the class means are
cheaper: measured, and by the cost model.
"""

import argparse
import itertools
import math
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.head_scaling_plot import plot
from benchmarks.record import Row
from benchmarks.timing import Times, arrays, in_turn, seconds, summary

FORMS = ("cross-entropy", "gram", "class means")
KEY = ("features", "classes", "batch", "form")
STEPS = {64: ("resnet32", 32, 64), 2048: ("resnet50", 64, 32)}
"""Network, image size and batch, by features."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as the backend's `fit` runs it, returning when its results are there."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        program = jax.jit(function)
        return lambda *arguments: jax.block_until_ready(program(*arguments))
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function)
    return function


def contender(form: str, features: int, classes: int, batch: int) -> Callable[[], Any]:
    """One call computes the gradients of a batch's features and of the head."""
    import keras
    import numpy as np
    from keras import ops

    import keras_ccsam as cc
    from keras_ccsam.heads import averaging
    from keras_ccsam.training.objective import BatchObjective

    class Features(keras.layers.Layer):
        """A backbone whose features are its weights, so that they have a gradient."""

        def build(self, input_shape: Any) -> None:
            self.features = self.add_weight(shape=(batch, features), initializer="random_normal")

        def call(self, inputs: Any) -> Any:
            return self.features + 0.0 * inputs

        def compute_output_shape(self, input_shape: Any) -> Any:
            return (input_shape[0], features)

    keras.utils.set_random_seed(0)
    y = np.random.default_rng(0).integers(0, classes, batch).astype("int32")
    x = ops.zeros((batch, 1))
    head = keras.layers.Dense(classes)
    plain = form == "cross-entropy"
    method = None if plain else cc.sharpness.ClassConditional([10] * classes)
    model = cc.SharpnessAwareModel(Features(), head, method)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model(x)
    model.optimizer.build(model.trainable_variables)

    def gradients(values: Any, x: Any, y: Any) -> Any:
        objective = BatchObjective(model, values, (), x, y, None)
        found, evaluation = model.sharpness.gradients(objective, model.hyper_parameters)
        return found, evaluation.loss

    values = [ops.convert_to_tensor(v.value) for v in model.trainable_variables]
    program, y = compiled(gradients), ops.convert_to_tensor(y)

    def call() -> Any:
        chooses = averaging.class_means_are_cheaper
        averaging.class_means_are_cheaper = lambda *shape: form == "class means"
        try:
            return program(values, x, y)
        finally:
            averaging.class_means_are_cheaper = chooses

    return call


def timed(call: Callable[[], Any], repeats: int) -> Times:
    """Time of one call, from several."""
    wall, processor = time.perf_counter(), time.process_time()
    for _ in range(repeats):
        call()
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return wall / repeats, processor / repeats


def possible(form: str, features: int, classes: int, batch: int) -> bool:
    """Whether memory and time allow the setting."""
    size = classes**2 * max(batch, features)
    work = 3 * batch * features * classes**2
    return form != "class means" or (size <= 2**25 and work <= 2**33)


def measure(features: int, classes: int, batch: int, rounds: int, block: float) -> list[Row]:
    """One row a form: milliseconds and ratios to cross-entropy."""
    from keras_ccsam.heads.class_averaging import class_means_are_cheaper

    setting = (features, classes, batch)
    calls = {f: contender(f, *setting) for f in FORMS if possible(f, *setting)}
    repeats = {}
    for form, call in calls.items():
        call()  # compiles
        repeats[form] = max(1, math.ceil(block / timed(call, 1)[0]))
    times: dict[str, list[Times]] = {form: [] for form in calls}
    for number in range(rounds):
        for form in in_turn(list(calls), number):
            times[form].append(timed(calls[form], repeats[form]))
    chosen = "class means" if class_means_are_cheaper(batch, features, classes) else "gram"
    rows = []
    for form, own in times.items():
        row = summary(own, times["cross-entropy"])
        for clock in ("ms_per_step", "cpu_ms_per_step"):
            index = int(clock.startswith("cpu"))
            row[clock] = round(1000 * sorted(t[index] for t in own)[len(own) // 2], 4)
        rows.append({**dict(zip(KEY, (*setting, form), strict=True)), **row})
        rows[-1]["chosen"] = form == chosen
    return rows


def step_of(name: str, size: int, batch: int, rounds: int) -> Times:
    """Wall-clock and processor milliseconds of cross-entropy's step, for one image."""
    import keras

    import keras_ccsam as cc

    features = cc.models.build(name, (size, size, 3))
    model = keras.Model(features.inputs, keras.layers.Dense(10)(features.outputs[0]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), loss)
    x, y, _ = arrays(batch, 10, 2, size)
    seconds(model, x, y, batch)
    own = [seconds(model, x, y, batch) for _ in range(rounds)]
    wall, processor = (sorted(t[i] for t in own)[len(own) // 2] for i in (0, 1))
    return 1000 * wall / batch, 1000 * processor / batch


def add_shares(rows: Sequence[Row], steps: dict[int, Row]) -> None:
    """Adds CC-SAM's extra processor time, and its share of the whole step where one is known."""
    base = {tuple(r[k] for k in KEY[:3]): r for r in rows if r["form"] == "cross-entropy"}
    for row in rows:
        if row["form"] == "cross-entropy":
            continue
        its = base[tuple(row[k] for k in KEY[:3])]["cpu_ms_per_step"]
        row["extra_cpu_ms"] = round((row["cpu_ratio"] - 1) * its, 4)
        step = steps.get(row["features"])
        if step:
            ten = base.get((row["features"], 10, row["batch"]))
            beyond = max(0.0, its - ten["cpu_ms_per_step"]) if ten else 0.0
            whole = step["cpu_ms_per_image"] * row["batch"] + beyond
            row["share_of_step"] = round(row["extra_cpu_ms"] / whole, 5)


def measured_crossover(rows: Sequence[Row], features: int, classes: int) -> str:
    """The batch from which the class means are cheaper, between two measured ones."""
    times: dict[int, dict[str, float]] = {}
    for row in rows:
        if (row["features"], row["classes"]) == (features, classes):
            times.setdefault(row["batch"], {})[row["form"]] = row["cpu_ms_per_step"]
    both = sorted(
        (b, math.log(t["class means"] / t["gram"])) for b, t in times.items() if len(t) == 3
    )
    if not both:
        return "not measured"
    # From the largest batch down: in small ones a disturbed round can turn the order.
    for (low, above), (high, below) in reversed(list(itertools.pairwise(both))):
        if above > 0 >= below:
            return f"{low * (high / low) ** (above / (above - below)):.0f}"
    return f"above {both[-1][0]}" if both[-1][1] > 0 else f"below {both[0][0]}"


def modelled_crossover(features: int, classes: int) -> int:
    """The batch from which the cost model chooses the class means."""
    from keras_ccsam.heads.class_averaging import class_means_are_cheaper

    high = 1
    while not class_means_are_cheaper(high, features, classes):
        high *= 2
    return next(
        b for b in range(high // 2, high + 1) if class_means_are_cheaper(b, features, classes)
    )


def report(rows: Sequence[Row]) -> None:
    """Prints the crossovers, and where the form that is chosen takes more than 3 % of the step."""
    print("features classes  class means cheaper from batch: measured, by the cost model")
    for features, classes in sorted({(r["features"], r["classes"]) for r in rows}):
        found = measured_crossover(rows, features, classes)
        print(f"{features:8} {classes:7}  {found:>14} {modelled_crossover(features, classes):>10}")
    known = [r for r in rows if r["chosen"] and "share_of_step" in r]
    over = [r for r in known if r["share_of_step"] > 0.03]
    print(f"more than 3 % of the step in {len(over)} of {len(known)} settings:")
    for r in over:
        print(
            f"  features {r['features']}, classes {r['classes']}, batch {r['batch']}: "
            f"{100 * r['share_of_step']:.1f} % ({r['form']})"
        )


def main() -> None:
    """Measures, prints, writes and plots."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    batches = [32, 64, 128, 256, 512, 1024]
    parser.add_argument("--batch", type=int, nargs="+", default=batches)
    parser.add_argument("--classes", type=int, nargs="+", default=[10, 20, 100, 1000, 8142])
    parser.add_argument("--features", type=int, nargs="+", default=[64, 512, 2048])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--block", type=float, default=0.02, help="seconds timed at a time")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    import keras

    backend = keras.backend.backend()
    if backend == "torch" and record.threads():
        import torch

        torch.set_num_threads(record.threads() or 1)
    path = record.results_file(f"head_scaling-{backend}", record.device(), options.out)
    steps: dict[int, Row] = {}
    for features in options.features:
        if features in STEPS:
            name, size, batch = STEPS[features]
            wall, processor = step_of(name, size, batch, 3)
            steps[features] = {"network": name, "image": size, "batch": batch}
            steps[features] |= {"ms_per_image": round(wall, 3)}
            steps[features] |= {"cpu_ms_per_image": round(processor, 3)}
            print(f"{name}: {processor:.2f} ms of processor time per image", flush=True)
    rows: list[Row] = []
    print("features classes batch form            cpu ms   x CE   share of the step", flush=True)
    for features in options.features:
        for classes in options.classes:
            for batch in options.batch:
                now = measure(features, classes, batch, options.rounds, options.block)
                rows += now
                add_shares(rows, steps)
                for r in now:
                    share = f"{100 * r['share_of_step']:7.2f} %" if "share_of_step" in r else ""
                    print(
                        f"{features:8} {classes:7} {batch:5} {r['form']:13} "
                        f"{r['cpu_ms_per_step']:9.3f} {r['cpu_ratio']:6.2f} {share:>10} "
                        f"{'chosen' if r['chosen'] else ''}",
                        flush=True,
                    )
                if not possible("class means", features, classes, batch):
                    print(f"{features:8} {classes:7} {batch:5} class means: skipped, too large")
    known = {str(features): step for features, step in steps.items()}
    record.save(path, rows, KEY, backend, steps=known)
    picture = Path(options.out) / f"head_scaling-{backend}.svg"
    plot(rows, picture, backend)
    report(rows)
    print("wrote", path, "and", picture)


if __name__ == "__main__":
    main()
