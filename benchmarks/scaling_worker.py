"""One process of benchmarks/scaling.py: times sums of several sizes, then training steps.

Prints one line of JSON from process 0. Bytes are counted where they are handed to the engine.
"""

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import keras
import numpy as np
import torch
import torch.distributed as dist

import keras_ccsam as cc
from keras_ccsam import backend

SIZES = (2**10, 2**14, 2**18, 2**22, 2**24)  # bytes
COUNTS = [int(500 * 100 ** (-c / 9)) for c in range(10)]


class Counted:
    """Messages and bytes that this process hands to torch.distributed."""

    def __init__(self) -> None:
        self.messages = self.bytes = 0
        for name in ("all_reduce", "all_gather"):
            setattr(dist, name, self._counting(getattr(dist, name)))

    def _counting(self, send: Any) -> Any:
        def counted(*arguments: Any, **options: Any) -> Any:
            own = next(a for a in reversed(arguments) if isinstance(a, torch.Tensor))
            self.messages += 1
            self.bytes += own.numel() * own.element_size()
            return send(*arguments, **options)

        return counted

    def taken(self) -> tuple[int, int]:
        found = self.messages, self.bytes
        self.messages = self.bytes = 0
        return found


def sums(rounds: int) -> list[dict[str, float]]:
    """Seconds of a sum over the processes, for each size: the least of the rounds."""
    found = []
    for size in SIZES:
        tensor = torch.zeros(size // 4)
        took = []
        for _ in range(rounds):
            backend.barrier()
            began = time.perf_counter()
            dist.all_reduce(tensor)
            took.append(time.perf_counter() - began)
        found.append({"bytes": size, "seconds": min(took)})
    return found


def steps(method: str, batch: int, rounds: int, counted: Counted) -> dict[str, Any]:
    """A training step of ResNet-20 on images of 32 x 32, with synchronised BatchNorm."""
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, 32, 32, 3)).astype("uint8")
    y = rng.choice(10, batch, p=np.array(COUNTS) / sum(COUNTS)).astype("int32")
    backbone = cc.models.ResNet20()
    if method == "ccsam":
        model = cc.CCSAM(backbone, num_classes=10, class_counts=COUNTS)
    else:
        model = cc.SharpnessAwareModel(backbone, keras.layers.Dense(10))
    model.build((None, 32, 32, 3))
    model.compile(keras.optimizers.SGD(0.01, momentum=0.9), "sparse_categorical_crossentropy")
    rows = backend.batch_rows(batch)
    model.train_on_batch(x[rows], y[rows])
    took, processor = [], []
    for _ in range(rounds):
        backend.barrier()
        counted.taken()
        began, used = time.perf_counter(), time.process_time()
        model.train_on_batch(x[rows], y[rows])
        took.append(time.perf_counter() - began)
        processor.append(time.process_time() - used)
    messages, sent = counted.taken()
    return {
        "method": method,
        "batch": batch,
        "seconds": min(took),
        "median": statistics.median(took),
        "processor": statistics.median(processor),
        "messages": messages,
        "bytes": sent,
        "gradient_bytes": 4 * sum(int(np.prod(v.shape)) for v in model.trainable_variables),
    }


def main() -> None:
    """Measures."""
    batch, rounds = (int(n) for n in sys.argv[1:])
    torch.set_num_threads(1)
    backend.join_processes()
    counted = Counted()
    found: dict[str, Any] = {"processes": backend.process_count()}
    if backend.process_count() > 1:
        found["sums"] = sums(rounds)
    found["steps"] = [steps(method, batch, rounds, counted) for method in ("erm", "ccsam")]
    if backend.process_index() == 0:
        print("RESULT", json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
