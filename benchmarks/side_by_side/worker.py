"""A process that does the work of one revision when it is told to.

    python benchmarks/side_by_side/worker.py FOLDER [SHARE]

The package is taken from the folder, everything else from where this file is. Says when it is
ready, then answers each line of its standard input with one on its standard output, both JSON:

    {"make": name}                -> {"made": true}
    {"turn": units, "core": 1}    -> {"seconds": ..., "processor_seconds": ...}

or, where that raises, `{"error": ...}`. With SHARE, each turn is longer by that share of it.
"""

import gc
import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main() -> None:
    """Serves until the input ends."""
    folder, share = Path(sys.argv[1]), float([*sys.argv, 0.0][2])
    sys.path[0] = str(folder)
    found = importlib.util.find_spec("keras_ccsam")
    if found is None or not Path(str(found.origin)).is_relative_to(folder):
        raise ImportError(f"keras_ccsam of {folder} is wanted. Received: {found}")
    import keras_ccsam  # noqa: F401  before what looks for it elsewhere

    sys.path.append(str(Path(__file__).resolve().parents[2]))
    from benchmarks import record
    from benchmarks.side_by_side.workloads import WORKLOADS

    # What a framework prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(**content: Any) -> None:
        answers.write(json.dumps(content) + "\n")
        answers.flush()

    makers = {workload.name: workload.make for workload in WORKLOADS}
    work: Any = None
    answer(device=record.device())
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "make" in command:
                work = None  # its memory goes first
                gc.unfreeze()
                gc.collect()
                work = makers[command["make"]](folder)
                for _ in range(3):  # what compiles does so now, and what is tried is tried
                    work(1)
                gc.collect()
                gc.freeze()
                answer(made=True)
            else:
                answer(**turn(work, command["turn"], command.get("core"), share))
        except Exception as error:
            answer(error=f"{type(error).__name__}: {error}".strip()[:2000])


def turn(work: Any, units: int, core: int | None, share: float) -> dict[str, float]:
    """Does so many units on a core, and tells their seconds."""
    if core is not None:
        keep_to(core)
    wall, processor = time.perf_counter(), time.process_time()
    work(units)
    planted = time.process_time() + share * (time.process_time() - processor)
    while time.process_time() < planted:
        pass
    return {
        "seconds": time.perf_counter() - wall,
        "processor_seconds": time.process_time() - processor,
    }


def keep_to(core: int) -> None:
    """All threads of this process."""
    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(thread), {core})
        except ProcessLookupError:  # it has ended meanwhile
            continue


if __name__ == "__main__":
    main()
