"""What it costs a training that its state is saved: time of the training's thread, and of all.

A state of ResNet-32 with momentum (CIFAR, batch 128) and one of ResNet-50 (ImageNet) is taken and
written as `callbacks.RunState` does it: copied on the thread that trains, written on another. The
cost of a run is the time of the copy over the interval between two states, five minutes by default.
Where all cores train, that of writing is added: it takes time of one of them.

    KERAS_BACKEND=torch python benchmarks/saving.py

Writes benchmarks/results/saving-<backend>-<device>.json; exit status 1 where it is 1 % or more.
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record

INTERVAL, TARGET = 300.0, 0.01
NETWORKS = {"resnet32": ((32, 32, 3), 100), "resnet50": ((224, 224, 3), 1000)}


def measured(name: str, rounds: int) -> dict[str, Any]:
    """Seconds of the thread that trains, and of the one that writes."""
    import keras

    import keras_ccsam as cc
    from keras_ccsam import snapshots
    from keras_ccsam.resuming.training_state import TrainingState

    shape, classes = NETWORKS[name]
    model = cc.CCSAM(cc.models.build(name, shape), classes, class_counts=[10] * classes)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)
    state = TrainingState(model, [], None)
    state.begin()
    state.epoch_begins()
    copy, write, processor = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            began = time.perf_counter()
            arrays, facts = state.taken()
            copy.append(time.perf_counter() - began)
            began, used = time.perf_counter(), time.process_time()
            snapshots.write(Path(folder) / "state", arrays, facts)
            write.append(time.perf_counter() - began)
            processor.append(time.process_time() - used)
    return {
        "network": name,
        "megabytes": round(sum(array.nbytes for array in arrays.values()) / 1e6, 1),
        "copy_seconds": round(statistics.median(copy), 4),
        "write_seconds": round(statistics.median(write), 4),
        "write_processor_seconds": round(statistics.median(processor), 4),
        "share": round((statistics.median(copy) + statistics.median(processor)) / INTERVAL, 6),
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    import keras

    backend = keras.backend.backend()
    rows = [measured(name, options.rounds) for name in NETWORKS]
    path = record.results_file(f"saving-{backend}", record.device())
    record.save(path, rows, ("network",), backend, interval_seconds=INTERVAL)
    for row in rows:
        print(row)
    sys.exit(0 if all(row["share"] < TARGET for row in rows) else 1)


if __name__ == "__main__":
    main()
