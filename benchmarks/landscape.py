"""What a point of a landscape costs beside a forward pass over the same samples.

Per point, in one process for each backend, contenders in turn:

    forward                the base: the network in Keras' own layers, compiled where the backend
                           compiles, batches on the device, outputs fetched; no weights change
    forward, accelerated   the same through `models.accelerate`
    landscape              ours: other weights, loss and accuracy of every class
    set weights, evaluate  `model.set_weights` and `model.evaluate`, one point after the other
    pytorch forward        the same network by hand in PyTorch (on torch, for ResNet-32)
    loss-landscapes        `random_plane` of that package, on that network: the mean loss alone

Nothing is timed before the losses at the model agree. The last one needs the package
(`pip install loss-landscapes`) and is left out, and named, where it is missing.

    KERAS_BACKEND=torch python benchmarks/landscape.py [--networks resnet32 small_cnn]

Writes benchmarks/results/landscape-<backend>-<device>.json. Target: `landscape` at most 1.1 times
`forward`.
"""

import argparse
import importlib.util
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.timing import Times, arrays, in_turn, summary

KEY = ("network", "samples", "method")
BATCH = 500
CLASSES = 10
SAMPLES = {"resnet32": 200, "small_cnn": 1000}
POINTS = {"resnet32": 4, "small_cnn": 25}

Contender = Callable[[int], float]
"""Computes so many points; returns the loss of the last, or of the model."""


def network(name: str, weights: str) -> Any:
    """The model in Keras' own layers; a ResNet-32 has the weights that its twin takes."""
    import keras

    import keras_ccsam as cc
    from benchmarks.versus import keras_contenders
    from benchmarks.versus.setting import Setting

    keras.utils.set_random_seed(0)
    if name == "resnet32":
        setting = Setting(name, BATCH, CLASSES, 1, "float32", 1, weights)
        keras_contenders.save_weights(setting)
        features, head = keras_contenders.parts(setting)
        keras_contenders.load_weights([features, head], weights)
    else:
        features = cc.models.plain_backbone(cc.models.build(name, (8, 8, 1)))
        head = keras.layers.Dense(CLASSES)
    model = keras.Model(features.inputs, head(features.outputs[0]))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, metrics=["accuracy"])
    return model


def images(name: str) -> tuple[Any, Any]:
    """Images and long-tailed labels; digits' size for the small network."""
    x, y, _ = arrays(SAMPLES[name], CLASSES, 1)
    return (x if name == "resnet32" else x[:, :8, :8, :1].copy()), y


def forward(model: Any, x: Any, y: Any) -> Contender:
    """Passes of one compiled network over batches that lie on the device."""
    import keras

    backend = keras.backend.backend()
    batches = [keras.ops.convert_to_tensor(x[i : i + BATCH]) for i in range(0, len(x), BATCH)]
    if backend == "jax":
        import jax

        state = [v.value for v in model.trainable_variables]
        other = [v.value for v in model.non_trainable_variables]
        program = jax.jit(lambda a, b, x: model.stateless_call(a, b, x, training=False)[0])

        def call(batch: Any) -> Any:
            return program(state, other, batch)
    elif backend == "tensorflow":
        import tensorflow as tf

        call = tf.function(lambda batch: model(batch, training=False))
    else:

        def call(batch: Any) -> Any:
            return model(batch, training=False)

    def points(number: int) -> float:
        with no_grad():
            for _ in range(number):
                outputs = [call(batch) for batch in batches]
                found = np.concatenate([keras.ops.convert_to_numpy(z) for z in outputs])
        return cross_entropy(found, y)

    return points


def no_grad() -> Any:
    """Records nothing on torch."""
    from keras_ccsam import backend

    return backend.no_grad()


def cross_entropy(z: Any, y: Any) -> float:
    """The mean over samples, of logits."""
    z = z.astype("float64") - z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]))


def landscape(model: Any, x: Any, y: Any) -> Contender:
    """Ours, at points around the model; the last one is the model."""
    import keras_ccsam as cc

    plan = cc.analysis.plan_landscape(model, (x, y), points=3, batch_size=BATCH)

    def points(number: int) -> float:
        where = np.linspace(0.1, 0.0, number)[:, None] * np.ones((1, 2))
        return plan.points.totals(where)[-1].mean_loss()

    return points


def set_and_evaluate(model: Any, x: Any, y: Any) -> Contender:
    """What one writes without a library."""
    import keras_ccsam as cc

    plan = cc.analysis.plan_landscape(model, (x, y), points=3)
    start = model.get_weights()
    # `get_weights` has the trainable weights of a layer before its statistics, layer by layer.
    places = [
        next(i for i, v in enumerate(model.weights) if v is variable)
        for variable in model.trainable_variables
    ]

    def points(number: int) -> float:
        loss = 0.0
        for step in np.linspace(0.1, 0.0, number):
            values = list(start)
            for place, a, b in zip(places, *plan.directions.values, strict=True):
                values[place] = start[place] + step * a + step * b
            model.set_weights(values)
            loss = model.evaluate(x, y, batch_size=BATCH, verbose=0)[0]
        return float(loss)

    return points


def pytorch(weights: str, x: Any, y: Any) -> dict[str, Contender]:
    """The twin, and the package that draws landscapes of PyTorch's networks."""
    import torch

    from benchmarks.versus import twins

    model = twins.Classifier("resnet32", CLASSES)
    twins.load_weights(model, weights)
    model.eval()
    inputs = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    labels = torch.from_numpy(y.astype("int64"))

    def passes(number: int) -> float:
        with torch.no_grad():
            for _ in range(number):
                z = torch.cat([model(inputs[i : i + BATCH]) for i in range(0, len(x), BATCH)])
        return cross_entropy(z.numpy(), y)

    found: dict[str, Contender] = {"pytorch forward": passes}
    if importlib.util.find_spec("loss_landscapes") is None:
        print("left out: loss-landscapes is not installed")
        return found
    import loss_landscapes
    from loss_landscapes.metrics import Loss

    metric = Loss(torch.nn.CrossEntropyLoss(), inputs, labels)

    def plane(number: int) -> float:
        with torch.no_grad():  # it records gradients that nobody reads, else
            loss_landscapes.random_plane(
                model, metric, distance=3, steps=round(number**0.5), deepcopy_model=True
            )
            return float(metric.loss_fn(model(inputs[:BATCH]), labels[:BATCH]))

    return found | {"loss-landscapes": plane}


def measure(name: str, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds per point and ratios to the forward pass."""
    import keras

    import keras_ccsam as cc

    x, y = images(name)
    with tempfile.TemporaryDirectory() as folder:
        weights = str(Path(folder) / "weights.npz")
        model = network(name, weights)
        fast = cc.models.accelerate(keras.models.clone_model(model))
        fast.set_weights(model.get_weights())
        contenders = {
            "forward": forward(model, x, y),
            "forward, accelerated": forward(fast, x, y),
            "landscape": landscape(model, x, y),
            "set weights, evaluate": set_and_evaluate(model, x, y),
        }
        if name == "resnet32" and keras.backend.backend() == "torch":
            contenders |= pytorch(weights, x, y)
    # Those that walk are back at the model with their second point.
    walk = ("landscape", "set weights, evaluate")
    losses = {method: each(2 if method in walk else 1) for method, each in contenders.items()}
    wrong = {m: v for m, v in losses.items() if abs(v - losses["forward"]) > 1e-4 * abs(v)}
    if wrong:
        raise RuntimeError(f"The losses at the model differ: {losses}")
    number = POINTS[name]
    times: dict[str, list[Times]] = {method: [] for method in contenders}
    for turn in range(rounds):
        for method in in_turn(list(contenders), turn):
            wall, processor = time.perf_counter(), time.process_time()
            contenders[method](number)
            times[method].append(
                (
                    (time.perf_counter() - wall) / number,
                    (time.process_time() - processor) / number,
                )
            )
    return {method: summary(own, times["forward"]) for method, own in times.items()}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--networks", nargs="+", choices=list(SAMPLES), default=list(SAMPLES))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    import keras

    rows = []
    print("network     method                 ms/point  x forward   (min - max)    cpu x forward")
    for name in options.networks:
        for method, row in measure(name, options.rounds).items():
            setting = (name, SAMPLES[name], method)
            rows.append({**dict(zip(KEY, setting, strict=True)), **row})
            print(
                f"{name:11} {method:22} {row['ms_per_step']:8.1f} {row['ratio']:8.3f}   "
                f"({row['ratio_min']:.3f} - {row['ratio_max']:.3f}) {row['cpu_ratio']:8.3f}",
                flush=True,
            )
    backend = keras.backend.backend()
    path = record.results_file(f"landscape-{backend}", record.device(), options.out)
    record.save(path, rows, KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
