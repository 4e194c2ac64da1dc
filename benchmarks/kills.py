"""Runs that get a SIGKILL in each of their phases and are gone on with: do they end the same?

What is compared: the weights of stage 1 with the optimizer, the network, the log and the results,
all but times. The processes are forked from one that has imported what a run needs, and nothing
else is left out of them. A state is saved every three steps, so that kills come while one is
written.
"""

import contextlib
import io
import json
import multiprocessing
import os
import random
import signal
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks import phases
from benchmarks.phases import Lengths, Watch

METHODS = ("ccsam", "gcl", "m2m", "mislas", "crt-swa", "ldam-drw-sam")
EPOCHS = 2
_SMALL = (
    "model.backbone.width=4",
    "model.backbone.features=8",
    f"stage1.epochs={EPOCHS}",
    "stage1.batch_size=32",
    "data.imbalance_ratio=10",
    "data.validation_fraction=0.1",
)
_TIMES = ("seconds", "ms_per_step")
# A method that is never in some phase for long must not be killed for ever.
_MOST_RUNS = 3

Row = dict[str, Any]


def survived(method: str, kills: int, seed: int, row: Row, keep: Callable[[Row], None]) -> Row:
    """Kill runs of a method so many times, spread over its phases; say what came of it.

    Args:
        method: name of a recipe.
        kills: how many; those that `row` counts are among them.
        seed: of the moments.
        row: of an earlier call, which is gone on with; `{}` for none.
        keep: told of the row after each run.

    Raises:
        SystemExit: a run fails without a kill, or after it.
    """
    row = {"method": method, "kills": 0, "runs": 0, "difference": 0.0, "phases": {}, **row}
    with tempfile.TemporaryDirectory() as folder:
        campaign = _Campaign(method, Path(folder))
        row["difference"] = max(row["difference"], campaign.trained_twice())
        tries = 0
        while row["kills"] < kills:
            draw = random.Random(f"{seed} {method} {row['runs']} {row['kills']} {tries}")
            found, difference = campaign.run(Counter(row["phases"]), kills - row["kills"], draw)
            total = Counter(row["phases"]) + found
            row |= {"kills": total.total(), "phases": dict(total)}
            row |= {"runs": row["runs"] + 1, "difference": max(row["difference"], difference)}
            keep(row)
            if (tries := tries + 1) > _MOST_RUNS * kills:
                break
    return row


class _Campaign:
    """Runs of one method.

    Args:
        method: name of a recipe.
        folder: for them.
    """

    def __init__(self, method: str, folder: Path) -> None:
        from keras_ccsam import recipes

        recipe = recipes.load(method)
        second = recipe.stage2 is not None
        self.method, self.folder = method, folder
        self.epochs = EPOCHS if second else 0
        absent = {*(() if second else (phases.BETWEEN, phases.STAGE_2))}
        absent |= {*(() if recipe.stage1.translate else (phases.HELPER,))}
        self.phases = [phase for phase in phases.PHASES if phase not in absent]
        self.lengths = Lengths()
        self._count = 0
        # JAX would compile what draws the first weights in each process again.
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "programs")
        os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
        os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        self._context = multiprocessing.get_context("forkserver")
        # What the first step of a run would import, of each process anew. Keras asks for TensorFlow
        # wherever it is installed, to seed it.
        heavy = ["tensorflow", "matplotlib.pyplot", "sklearn.datasets", "h5py", "PIL.Image"]
        self._context.set_forkserver_preload(["keras_ccsam", "keras_ccsam.runs", *heavy])

    def trained_twice(self) -> float:
        """Train without a kill, and again, to learn how long what takes; return the difference."""
        for name in ("whole", "again"):  # on JAX the first one compiles
            self.lengths = Lengths()
            process, watch = self._begun(self.folder / name)
            self.lengths.observe(watch, process.is_alive)
            self._ended(process)
        self._whole = left(self.folder / "whole")
        return difference(self._whole, left(self.folder / "again"))

    def run(self, done: Counter[str], most: int, draw: random.Random) -> tuple[Counter[str], float]:
        """Train one run that is killed and gone on with; return its kills and the difference.

        Args:
            done: kills so far.
            most: how many there may be.
            draw: the moments.
        """
        run = self.folder / f"run-{self._count}"
        self._count += 1
        found, at = Counter[str](), 0
        while True:
            process, watch = self._begun(run)
            target = self._target(done + found, at, draw) if found.total() < most else None
            if target is None or not self._reached(process, watch, target, draw):
                self._ended(process)
                break
            os.kill(process.pid or 0, signal.SIGKILL)
            process.join()
            phase = watch.phase()
            found[phase] += 1
            # Of what has been passed, a save comes again in each later phase.
            at = max(at, self.phases.index(target), self.phases.index(phase))
            if phase == phases.SAVE:
                at = self.phases.index(phases.STAGE_1)
        return found, difference(self._whole, left(run))

    def _target(self, done: Counter[str], at: int, draw: random.Random) -> str | None:
        """One of the phases that still come in which there were fewest kills, if any is behind."""
        ahead = self.phases[at:] + ([phases.SAVE] if phases.SAVE not in self.phases[at:] else [])
        fewest = min(done[phase] for phase in ahead)
        if fewest > min(done[phase] for phase in self.phases) + 1:
            return None  # those that were left out come in a new run
        return draw.choice([phase for phase in ahead if done[phase] == fewest])

    def _reached(
        self, process: ForkServerProcess, watch: Watch, target: str, draw: random.Random
    ) -> bool:
        """Wait for a random moment of a phase; return False where the process ended before."""
        if not phases.wait_for(watch, target, process.is_alive):
            return False
        spell = self.lengths.spell(target)
        process.join(draw.uniform(0.0, 0.5 * max(0.0, self.lengths.window(target) - spell)))
        if not phases.wait_for(watch, target, process.is_alive):
            return False
        process.join(draw.uniform(0.0, spell))
        return process.is_alive()

    def _begun(self, run: Path) -> tuple[ForkServerProcess, Watch]:
        process = self._context.Process(target=_work, args=(self.method, str(run), self.epochs))
        watch = Watch(run, self.epochs)
        process.start()
        return process, watch

    def _ended(self, process: ForkServerProcess) -> None:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a run of {self.method} fails with exit code {process.exitcode}")


def _work(method: str, folder: str, epochs: int) -> None:
    """One process: begin a run, or go on with it."""
    from keras_ccsam import recipes
    from keras_ccsam.runs import RunDirectory, experiment

    directory = RunDirectory(folder)
    if directory.status() == "complete" and directory.state.was_ended:
        return
    with contextlib.redirect_stdout(io.StringIO()):
        second = [f"stage2.epochs={epochs}"] if epochs else []
        recipe = recipes.load(method, overrides=(*_SMALL, *second))
        experiment.run_or_resume(recipe, folder, progress="none", save_every=3)


def left(folder: Path) -> dict[str, Any]:
    """What a run leaves, but its times: arrays by name, and the rest as it is."""
    found: dict[str, Any] = _arrays(folder / "checkpoints" / "stage1.weights.h5", "stage 1")
    with zipfile.ZipFile(folder / "model.keras") as archive:
        found |= _arrays(io.BytesIO(archive.read("model.weights.h5")), "model")
        found["config"] = _without_addresses(json.loads(archive.read("config.json")))
    with np.load(folder / "validation.npz") as arrays:
        found["predicted"] = arrays["predicted"]
    results = json.loads((folder / "results.json").read_text())
    found["results"] = {key: value for key, value in results.items() if key not in _TIMES}
    log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    found["log"] = [{k: v for k, v in line.items() if k not in _TIMES} for line in log]
    return found


def _without_addresses(config: Any) -> Any:
    """A configuration without what Keras writes of where an object lay in memory."""
    if isinstance(config, dict):
        kept = {key: value for key, value in config.items() if key != "shared_object_id"}
        return {key: _without_addresses(value) for key, value in kept.items()}
    return [_without_addresses(each) for each in config] if isinstance(config, list) else config


def _arrays(source: Any, prefix: str) -> dict[str, np.ndarray]:
    found = {}
    with h5py.File(source) as file:

        def take(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[f"{prefix}/{name}"] = np.array(item)

        file.visititems(take)
    return found


def difference(one: dict[str, Any], other: dict[str, Any]) -> float:
    """The largest of two runs; infinite where they do not hold the same things."""
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
