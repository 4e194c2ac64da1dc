"""What several processes cost: bytes and time per step, a model fitted to them, and predictions.

Runs benchmarks/scaling_worker.py in 1, 2 and 4 processes of this machine by PyTorch's launcher
(gloo, one thread each): sums over the processes of 1 KiB to 16 MiB, and steps of ResNet-20 with a
global batch of 32, cross-entropy and CC-SAM. Then the input pipeline with 1 and 2 threads.

The model, with n processes, m messages and b bytes per step:

    t = t_1 max(1 / n, 1 / cores) + m a_n + 2 (n - 1) / n b / w_n

where t_1 is the step of one process, and a_n (seconds per message) and w_n (bytes per second) are
fitted to the sums. The predictions take times, message costs and speeds that `ASSUMED` states.

    KERAS_BACKEND=torch python benchmarks/scaling.py [--rounds 15]

Writes benchmarks/results/scaling-torch-cpu.json and prints what docs/scaling.md shows.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np  # noqa: E402

from benchmarks import record  # noqa: E402

KEY = ("part", "processes", "method", "setting")
BATCH = 32

# Stated, not measured. A step's time of ResNet-50 is that of one GPU with its share of the batch.
ASSUMED: dict[str, Any] = {
    "gradient_bytes": 4 * 25_600_000,  # float32
    "step_seconds": 0.12,  # 256 images a GPU, forward and backward
    "batch_norms": 53,
    "channels": 26_560,  # of all BatchNorms together
    "features": 2048,
    "classes": 1000,
    "batch_per_gpu": 256,
    "message_seconds": {"8 GPUs": 20e-6, "4 machines of 8": 60e-6},
    "bytes_per_second": {"8 GPUs": 200e9, "4 machines of 8": 20e9},
    "processes": {"8 GPUs": 8, "4 machines of 8": 32},
}


def measured(processes: int, rounds: int) -> dict[str, Any]:
    """What the worker measures in so many processes."""
    from keras_ccsam.backend.torch_launch import run_processes

    command = [
        sys.executable,
        str(Path(__file__).with_name("scaling_worker.py")),
        str(BATCH),
        str(rounds),
    ]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        shell = f'exec "$@" > {out}.$LOCAL_RANK'
        code = run_processes(processes, ["bash", "-c", shell, "worker", *command], print)
        if code:
            raise SystemExit(f"the worker ended with {code}")
        text = Path(f"{out}.0").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("RESULT "))
    found: dict[str, Any] = json.loads(line.removeprefix("RESULT "))
    return found


def fitted(sums: list[dict[str, float]], processes: int) -> tuple[float, float]:
    """Seconds per message, and bytes per second, by least squares of relative errors."""
    size = np.array([row["bytes"] for row in sums])
    took = np.array([row["seconds"] for row in sums])
    travelled = 2 * (processes - 1) / processes * size
    design = np.stack([np.ones_like(took), travelled], axis=1) / took[:, None]
    (cost, inverse), *_ = np.linalg.lstsq(design, np.ones_like(took), rcond=None)
    return float(cost), float(1 / inverse)


def modelled(
    alone: float, processes: int, messages: int, sent: float, cost: float, speed: float, cores: int
) -> float:
    """The model's time of a step."""
    share = max(1 / processes, 1 / cores)
    return alone * share + messages * cost + 2 * (processes - 1) / processes * sent / speed


def predictions() -> list[dict[str, Any]]:
    """ResNet-50 by the same model, at the stated times and speeds."""
    rows = []
    for setting, processes in ASSUMED["processes"].items():
        cost, speed = ASSUMED["message_seconds"][setting], ASSUMED["bytes_per_second"][setting]
        norms = 4 * 4 * ASSUMED["channels"]  # two moments, forward and backward
        each = 4 * (ASSUMED["features"] + ASSUMED["classes"] + 1)  # of a sample: CC-SAM's gather
        for method in ("erm", "ccsam"):
            gathered = ASSUMED["batch_per_gpu"] * each if method == "ccsam" else 0
            messages = 1 + 2 * ASSUMED["batch_norms"] + bool(gathered)
            summed = ASSUMED["gradient_bytes"] + norms
            # A sum goes round twice; a gather once, and brings what all the others have.
            link = 2 * (processes - 1) / processes * summed + (processes - 1) * gathered
            seconds = ASSUMED["step_seconds"] + messages * cost + link / speed
            rows.append(
                {
                    "part": "predicted",
                    "setting": setting,
                    "method": method,
                    "processes": processes,
                    "messages": messages,
                    "link_bytes": link,
                    "gathered_bytes": (processes - 1) * gathered,
                    "seconds": seconds,
                    "efficiency": ASSUMED["step_seconds"] / seconds,
                }
            )
    return rows


def pipeline(threads: int, seconds: float = 3.0) -> float:
    """Images per second that RandAugment, crop and flip of 32 x 32 images give."""
    from keras_ccsam import data as ccdata

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4096, 32, 32, 3), dtype=np.uint8)
    data = ccdata.from_arrays(images, np.arange(4096) % 10)
    batches = data.batches(
        batch_size=128, augment=("crop", "flip", "rand_augment"), workers=threads
    )
    rates = []
    for _ in range(3):
        count, began = 0, time.perf_counter()
        while time.perf_counter() - began < seconds:
            for step in range(len(batches)):
                count += len(batches[step][0])
        rates.append(count / (time.perf_counter() - began))
    return statistics.median(rates)


def state() -> dict[str, Any]:
    """The machine now: its load (mean of 1, 5 and 15 minutes), free memory, and the time."""
    from keras_ccsam.launching.resources import available

    return {
        "load": [round(mean, 2) for mean in os.getloadavg()],
        "memory_free": available(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def main() -> None:
    """Measures, fits, predicts, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="of each measurement")
    parser.add_argument("--out", default=record.RESULTS, help="folder of the results")
    arguments = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    rows: list[dict[str, Any]] = []
    alone: dict[str, float] = {}
    before = state()
    for processes in (1, 2, 4):
        found = measured(processes, arguments.rounds)
        cost, speed = fitted(found["sums"], processes) if processes > 1 else (0.0, float("inf"))
        if processes > 1:
            fit = {"message_seconds": cost, "bytes_per_second": speed, "sums": found["sums"]}
            rows.append({"part": "sums", "processes": processes, **fit})
            print(f"{processes} processes: {cost * 1e6:.0f} us/message, {speed / 1e6:.0f} MB/s")
        for step in found["steps"]:
            alone.setdefault(step["method"], step["seconds"])
            model = modelled(
                alone[step["method"]],
                processes,
                step["messages"],
                step["bytes"],
                cost,
                speed,
                cores,
            )
            rows.append({"part": "step", "processes": processes, **step, "modelled": model})
            print(
                f"{processes} {step['method']:6} {1000 * step['seconds']:8.1f} ms "
                f"(model {1000 * model:.1f}), {step['messages']} messages, {step['bytes']:,} bytes"
            )
    for threads in (1, 2):
        rate = pipeline(threads)
        rows.append({"part": "pipeline", "processes": threads, "images_per_second": round(rate)})
        print(f"{threads} threads: {rate:,.0f} images/s")
    for row in predictions():
        rows.append(row)
        print(
            f"{row['setting']:16} {row['method']:6} {1000 * row['seconds']:7.1f} ms, "
            f"{row['efficiency']:.1%}"
        )
    path = record.results_file("scaling-torch", "cpu", folder=arguments.out)
    record.save(
        path,
        rows,
        KEY,
        "torch",
        assumed=ASSUMED,
        cores_used=cores,
        rounds=arguments.rounds,
        before=before,
        after=state(),
    )
    print("wrote", path)


if __name__ == "__main__":
    main()
