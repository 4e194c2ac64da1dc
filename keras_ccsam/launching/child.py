"""The process of one run that `local` begins: a job on stdin, its outcome on stdout.

The parent keeps the other end of stdin open. That end is closed when the parent ends, in whatever
way, and then this process ends, too: no run trains on for nobody. It is executed as a script, so
that it watches its parent before it imports Keras.
"""

import json
import os
import signal
import sys
import threading


def _end_with_the_parent() -> None:
    while os.read(0, 1):
        pass
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Do the job."""
    told = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a framework prints is no outcome
    sys.path[:] = told["search"]  # the modules of the parent
    from keras_ccsam.launching.worker import work

    outcome = work(told["job"])
    print(f"\n{json.dumps(outcome)}", file=answer, flush=True)


if __name__ == "__main__":
    main()
