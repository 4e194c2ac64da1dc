"""The process of one run that `local` begins: a job on stdin, its outcome on stdout.

The parent keeps the other end of stdin open. That end is closed when the parent ends, in whatever
way, and then this process ends, too: no run trains on for nobody. It is executed as a script, so
that it watches its parent before it imports Keras.
"""

import gc
import json
import os
import signal
import sys
import threading

_PARENT = "CCSAM_ENDS_WITH_PARENT"


def end_others_with_this() -> None:
    """Let the processes of this command that are started from here on end with this one."""
    end, _ = os.pipe()
    os.dup2(end, 0)
    os.environ[_PARENT] = str(os.getpid())


def is_to_end_with_the_parent() -> bool:
    """Whether the process that started this one has said so."""
    return os.environ.get(_PARENT) == str(os.getppid())


def end_with_the_parent() -> None:
    """End this process as soon as the one that holds the other end of its stdin has ended."""
    threading.Thread(target=_end_after_stdin, daemon=True).start()


def _end_after_stdin() -> None:
    while os.read(0, 1):
        pass
    if os.name == "posix":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(1)


def end_quickly() -> None:
    """Leave what is held to the system: a last collection over a framework takes seconds."""
    gc.disable()
    gc.freeze()


def main() -> None:
    """Do the job."""
    told = json.loads(sys.stdin.buffer.readline())
    end_with_the_parent()
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a framework prints is no outcome
    sys.path[:] = told["search"]  # the modules of the parent
    from keras_ccsam.launching.worker import work

    outcome = work(told["job"])
    print(f"\n{json.dumps(outcome)}", file=answer, flush=True)
    end_quickly()


if __name__ == "__main__":
    main()
