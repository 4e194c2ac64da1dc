"""A process that has imported the framework once, and has children do what it is told on stdin.

An import takes longer than most of what several processes are started for here. No framework has
begun to compute or started a thread before the fork, so a child is a process like any other.
"""

import gc
import importlib
import json
import os
import signal
import sys
import tempfile
import time
import traceback
from typing import Any

# What is imported here once, with all that they need.
WORKERS = ("runs_worker", "trained")


def child(module: str, arguments: list[str], variables: dict[str, str], said: str) -> None:
    """Does one process's part, and ends."""
    file = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(variables)
    tempfile.tempdir = None  # it is found anew
    code = 1
    try:
        importlib.import_module(module).main(*arguments)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def together(job: dict[str, Any]) -> dict[str, Any]:
    """Runs one process for each of `variables`; one that fails, or the time, ends them all."""
    running: dict[int, int] = {}
    codes: list[int | None] = [None] * len(job["variables"])
    for place, (variables, said) in enumerate(zip(job["variables"], job["said"], strict=True)):
        pid = os.fork()
        if pid == 0:
            child(job["module"], job["arguments"], variables, said)
        running[pid] = place
    until = time.monotonic() + job["seconds"]
    late = False
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            codes[running.pop(pid)] = os.waitstatus_to_exitcode(status)
            continue
        late = time.monotonic() > until
        # One that fails leaves the others waiting for it.
        if late or any(codes):
            for other, place in running.items():
                os.kill(other, signal.SIGKILL)
                codes[place] = os.waitstatus_to_exitcode(os.waitpid(other, 0)[1])
            break
        time.sleep(0.02)
    return {"codes": codes, "late": late}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints is no answer
    gc.disable()  # what is imported stays
    for worker in WORKERS:
        importlib.import_module(f"tests.distributed.{worker}")
    assert "sklearn" not in sys.modules, "tests/quick_start is not heeded"
    gc.freeze()
    gc.enable()
    for line in sys.stdin:
        print(json.dumps(together(json.loads(line))), file=answers, flush=True)
