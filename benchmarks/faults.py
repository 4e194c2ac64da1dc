"""Runs that are killed at random moments and gone on with: is what they leave what it would be?

For each method a run of the digits is trained without an interruption. Then runs of the same recipe
are trained in processes that get a SIGKILL after a random time, anywhere between their first line
and their last: in a step, while a state is written, between the stages, in the second stage, in the
evaluation. Each is gone on with, and killed again, until one is complete, and so on until so many
kills are survived. Weights of stage 1 with the optimizer, the network, the log and the results (all
but times) are compared with the first run's; the largest difference is written down, and it is 0.0.

    KERAS_BACKEND=torch python benchmarks/faults.py [--methods ccsam gcl ...] [--kills 20]

Writes benchmarks/results/faults.json; exit status 1 where anything differs. A state is saved every
three steps, so that kills come while one is written. The processes are forked from one that has
imported Keras, which saves its import and nothing else.
"""

import argparse
import contextlib
import io
import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import record

METHODS = ("ccsam", "gcl", "m2m", "mislas", "crt-swa", "ldam-drw-sam")
SMALL = (
    "model.backbone.width=4",
    "model.backbone.features=8",
    "stage1.epochs=3",
    "stage1.batch_size=32",
    "data.imbalance_ratio=10",
    "data.validation_fraction=0.1",
)
TIMES = ("seconds", "ms_per_step")


def work(method: str, folder: str) -> None:
    """One process: begin a run, or go on with it."""
    from keras_ccsam import recipes
    from keras_ccsam.runs import RunDirectory, experiment

    if RunDirectory(folder).status() == "complete":  # it was killed after its results
        return
    with contextlib.redirect_stdout(io.StringIO()):
        second = ["stage2.epochs=3"] if recipes.load(method).stage2 is not None else []
        recipe = recipes.load(method, overrides=(*SMALL, *second))
        options = {"progress": "none", "compile_cache": "off", "save_every": 3}
        experiment.run_or_resume(recipe, folder, **options)


def phase(folder: Path) -> str:
    """Where a run was, by what it has left."""
    helper = folder / "helper"
    if helper.is_dir() and not (helper / "results.json").is_file():
        return "helper"
    state = folder / "checkpoints" / "state"
    writing = list(state.glob("*/.snapshot-*.writing"))
    if writing:
        return "while a state was written"
    if (folder / "results.json").is_file():
        return "after the results"
    if (folder / "model.keras").is_file():
        return "evaluation"
    if (state / "stage2").is_dir():
        done = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return "evaluation" if sum(r["stage"] == 2 for r in done) == 3 else "stage 2"
    if (folder / "checkpoints" / "stage1.weights.h5").is_file():
        return "between the stages"
    return "stage 1" if (folder / "environment.json").is_file() else "before the first step"


def left(folder: Path) -> dict[str, Any]:
    """What a run leaves, but its times: arrays by name, and the rest as it is."""
    import h5py
    import keras
    import numpy as np

    found: dict[str, Any] = {}
    with h5py.File(folder / "checkpoints" / "stage1.weights.h5") as file:

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[f"stage 1/{name}"] = np.array(item)

        file.visititems(take)
    model = keras.models.load_model(folder / "model.keras", compile=False)
    found |= {f"model/{i}": np.array(w) for i, w in enumerate(model.get_weights())}
    with np.load(folder / "validation.npz") as arrays:
        found["predicted"] = arrays["predicted"]
    results = json.loads((folder / "results.json").read_text())
    found["results"] = {key: value for key, value in results.items() if key not in TIMES}
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    log = [json.loads(line) for line in lines]
    found["log"] = [{k: v for k, v in line.items() if k not in TIMES} for line in log]
    return found


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest of two runs; infinite where they do not hold the same things."""
    import numpy as np

    worst = 0.0 if one.keys() == other.keys() else float("inf")
    for key in one.keys() & other.keys():
        a, b = one[key], other[key]
        if not isinstance(a, np.ndarray):
            worst = worst if a == b else float("inf")
        elif a.shape != b.shape:
            worst = float("inf")
        elif a.size:
            worst = max(worst, float(np.abs(a.astype("float64") - b.astype("float64")).max()))
    return worst


def survived(method: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    """Kill runs of a method so many times; say what came of it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["keras_ccsam"])
    draw = random.Random(f"{seed} {method}")
    length = 0.0
    for name in ("whole", "again"):  # the second one knows how long it takes
        began = time.monotonic()
        process = context.Process(target=work, args=(method, str(folder / name)))
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"{method} fails without a kill, with exit code {process.exitcode}")
        length = time.monotonic() - began
    whole, phases, runs = left(folder / "whole"), Counter[str](), 0
    worst = difference(whole, left(folder / "again"))
    while sum(phases.values()) < kills or runs == 0:
        run = folder / f"run-{runs}"
        while True:
            process = context.Process(target=work, args=(method, str(run)))
            process.start()
            if sum(phases.values()) < kills:
                process.join(draw.uniform(0.0, 1.0) * length)
            else:
                process.join()
            if process.exitcode is not None:
                break
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            phases[phase(run)] += 1
        if process.exitcode:
            raise SystemExit(f"{method} fails when gone on with, exit code {process.exitcode}")
        worst, runs = max(worst, difference(whole, left(run))), runs + 1
    row = {"method": method, "kills": sum(phases.values()), "runs": runs, "difference": worst}
    print(f"{method:14} {row['kills']:4} kills, {runs:2} runs, difference {worst}  {dict(phases)}")
    return row | {"phases": dict(sorted(phases.items()))}


def main() -> None:
    """Measure, write, and say whether anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    backend = os.environ["KERAS_BACKEND"]
    path = record.results_file("faults")
    lost = False
    for method in options.methods:
        with tempfile.TemporaryDirectory() as folder:
            row = survived(method, options.kills, options.seed, Path(folder))
        row = {"backend": backend, **row}
        lost |= row["difference"] != 0.0
        record.save(path, [row], ("backend", "method"), None)
    sys.exit(1 if lost else 0)


if __name__ == "__main__":
    main()
