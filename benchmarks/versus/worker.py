"""A process that trains with one framework when told to.

    python benchmarks/versus/worker.py <pytorch | keras | weights> <setting> <method> ...

Builds every method, says that it is ready, then answers each line on its standard input with one on
its standard output, both JSON:

    {"method": "ce", "steps": 4}  ->  {"seconds": ..., "processor_seconds": ..., "loss": ...}
    {"kernels": "ce", "steps": 4} ->  {"seconds": ...}, in kernels of a GPU; null without one
    {"peak": true}                ->  {"mib": ..., "mib_of_steps": ...}

Between two lines it waits and computes nothing. `weights` writes the common first weights and ends.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import record
from benchmarks.versus import kernels
from benchmarks.versus.precision import set_precision
from benchmarks.versus.setting import Setting


def main() -> None:
    """Serves until the input ends."""
    kind, text, *methods = sys.argv[1:]
    setting = Setting.from_json(text)
    # What a framework prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    if kind == "weights":
        from benchmarks.versus.keras_contenders import save_weights

        save_weights(setting)
        return
    if kind == "pytorch":
        from benchmarks.versus.pytorch_contenders import contenders

        backend = "torch"
    else:
        from benchmarks.versus.keras_contenders import contenders

        backend = os.environ["KERAS_BACKEND"]
    set_precision(backend, setting.precision)
    trainers = contenders(setting, methods)
    before = record.start_of_peak(backend)
    answer(device=record.device(backend))
    for line in sys.stdin:
        command = json.loads(line)
        if "peak" in command:
            peak = record.allocated(backend)
            answer(mib=round(peak, 1), mib_of_steps=round(peak - before, 1))
            continue
        if "kernels" in command:
            train = trainers[command["kernels"]]
            answer(seconds=kernels.seconds(backend, lambda: train(command["steps"])))  # noqa: B023
            continue
        train = trainers[command["method"]]
        wall, processor = time.perf_counter(), time.process_time()
        loss = train(command["steps"])
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        answer(seconds=wall, processor_seconds=processor, loss=loss)


if __name__ == "__main__":
    main()
