"""Where a training step's time goes, by kind of operation.

Trains a ResNet-32 under the framework's own profiler and adds up what each kind of kernel took:
convolution, forward and back, normalisation, the rest. On JAX the kinds are read off the names in
XLA's compiled program; a fusion counts as the kind of its outermost operation, and a convolution's
gradient is the kernel's where its result is. PyTorch computes both gradients in one call. The
traces of JAX and TensorFlow are read with JAX, which must be installed for both.

    KERAS_BACKEND=torch python benchmarks/profile_step.py [--backbone resnet32] [--batch 64]

Writes benchmarks/results/profile-<backend>-<device>.json and prints a table. With one thread
(`OMP_NUM_THREADS=1`, `XLA_FLAGS=--xla_cpu_multi_thread_eigen=false`, one core) the kinds add up to
the step; with several, kernels overlap and the sum is their time, not the clock's.
"""

import argparse
import collections
import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record
from benchmarks.step_cost import build
from benchmarks.timing import arrays

KEY = ("backbone", "batch")
# The first pattern that occurs in a kernel's name, or its path in the model, names its kind.
KINDS = {
    "torch": (
        ("convolution, backward", r"convolution_backward"),
        ("convolution, forward", r"convolution|conv2d"),
        ("normalisation", r"batch_norm|native_norm"),
        ("copies", r"copy_|clone"),
    ),
    "tensorflow": (
        ("convolution, kernel gradient", r"Conv2D\w*BackpropFilter"),
        ("convolution, input gradient", r"Conv2D\w*BackpropInput"),
        ("convolution, forward", r"Conv2D"),
        ("normalisation", r"BatchNorm|batchnorm|_bn\d?/|moments"),
    ),
    "jax": (
        ("copies for convolutions", r"^(copy|transpose_copy|slice_pad|pad)"),
        (
            "convolution, kernel gradient",
            r"transpose\(jvp.*conv_general_dilated.*[\[,](\d),\1[\],]",
        ),
        ("convolution, input gradient", r"transpose\(jvp.*conv_general_dilated"),
        ("convolution, forward", r"conv_general_dilated"),
        ("normalisation", r"_bn\d?\)"),
    ),
}


def kind(backend: str, name: str) -> str:
    """The kind of operation that a kernel's name tells of."""
    matches = (label for label, pattern in KINDS[backend] if re.search(pattern, name))
    return next(matches, "the rest")


def torch_events(train: Any) -> Iterator[tuple[str, float]]:
    """Names and milliseconds of the kernels, each without those that it calls."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    gpu = torch.cuda.is_available()
    activities = [ProfilerActivity.CUDA] if gpu else []
    with profile(activities=[ProfilerActivity.CPU, *activities]) as profiler:
        train()
    # `convolution_backward` runs kernels that are named otherwise; the caller's name counts.
    for event in profiler.events():
        parent, name = event.cpu_parent, event.name
        while parent is not None:
            name, parent = f"{parent.name} {name}", parent.cpu_parent
        own = event.self_device_time_total if gpu else event.self_cpu_time_total
        yield name, own / 1000


def xplane_events(folder: str) -> Iterator[tuple[str, dict[str, Any], float]]:
    """Names, statistics and milliseconds in the trace that XLA's profiler left in a folder."""
    from jax.profiler import ProfileData

    path = next(Path(folder).rglob("*.xplane.pb"))
    for plane in ProfileData.from_file(str(path)).planes:
        for line in plane.lines:
            for event in line.events:
                yield event.name, dict(event.stats), event.duration_ns / 1e6


def jax_events(train: Any, dump: Path) -> Iterator[tuple[str, float]]:
    """Kernels of XLA's program, with the path in the model that the program gives each."""
    import jax

    paths: dict[str, str] = {}
    for text in dump.glob("*train_step*after_optimizations.txt"):
        for line in text.read_text().splitlines():
            named = re.match(r"\s*(?:ROOT )?%?([\w.-]+) = ", line)
            path = re.search(r'op_name="([^"]*)"', line)
            if named:
                shape = line[named.end() :].split("{")[0]
                paths[named[1]] = f"{path[1] if path else ''} {shape}"
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder):
            train()
        for _, stats, took in xplane_events(folder):
            operation = stats.get("hlo_op")
            if operation and not operation.startswith(("call", "while")):
                yield f"{operation} {paths.get(operation, '')}", took


def tensorflow_events(train: Any) -> Iterator[tuple[str, float]]:
    """Kernels by their operation and name in the graph, from the executor's own statistics."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            train()
        for name, _, took in xplane_events(folder):
            if name.startswith("StatefulPartitionedCall/") and ":" in name:
                yield name, took


def table(backend: str, events: Iterable[tuple[str, float]], steps: int) -> dict[str, float]:
    """Milliseconds per step of each kind, the longest first."""
    total: collections.Counter[str] = collections.Counter()
    for name, took in events:
        total[kind(backend, name)] += took / steps
    return {label: round(took, 2) for label, took in total.most_common()}


def main() -> None:
    """Profiles, prints and writes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--backbone", default="resnet32")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        dump = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} --xla_dump_to={dump} --xla_dump_hlo_as_text".strip()
        import keras

        backend = keras.backend.backend()
        x, y, counts = arrays(options.batch, 10, options.steps)
        model = build("cross-entropy", options.backbone, 10, counts)

        def train() -> None:
            model.fit(x, y, batch_size=options.batch, shuffle=False, verbose=0)

        train()
        started = time.perf_counter()
        train()
        step = 1000 * (time.perf_counter() - started) / options.steps
        if backend == "torch":
            events: Iterable[tuple[str, float]] = torch_events(train)
        elif backend == "jax":
            events = jax_events(train, dump)
        else:
            events = tensorflow_events(train)
        kinds = table(backend, events, options.steps)
    for label, took in kinds.items():
        print(f"{label:30} {took:8.1f} ms  {took / sum(kinds.values()):5.1%}")
    print(f"{'kernels':30} {sum(kinds.values()):8.1f} ms\n{'step, not profiled':30} {step:8.1f} ms")
    row = {
        "backbone": options.backbone,
        "batch": options.batch,
        "ms_per_step": round(step, 1),
        "kinds": kinds,
    }
    path = record.results_file(f"profile-{backend}", record.device(), options.out)
    record.save(path, [row], KEY, backend)
    print("wrote", path)


if __name__ == "__main__":
    main()
