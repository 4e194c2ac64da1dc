"""One process at a time trains in a folder of several runs."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from keras_ccsam import writer
from keras_ccsam.runs import lock
from keras_ccsam.runs.run_directory import write_json

FORMAT = 1
"""Of the folder of several runs; state.json says it. Each run has a format of its own."""

_STATE = "state.json"


def claim(folder: Path, kind: str, **facts: Any) -> None:
    """Write into a folder that this process trains in it, and hold its lock.

    Args:
        folder: it is there.
        kind: what the folder is: `"comparison"` or `"reproduction"`.
        **facts: what else its state.json says.

    Raises:
        ValueError: another process is at work in it. Nothing has been written.
    """
    lock.take(folder)
    try:
        _refuse_others(folder)
        process = writer.this_process()
        _write(folder, kind, "running", process=process, **facts)
    except BaseException:
        lock.drop(folder)
        raise


def release(folder: Path, kind: str, status: str = "complete", **facts: Any) -> None:
    """Write how it ended, and let the folder go."""
    _write(folder, kind, status, **facts)
    lock.drop(folder)


@contextlib.contextmanager
def released_if_it_fails(folder: Path, kind: str, **facts: Any) -> Iterator[None]:
    """Let a claimed folder go where the block raises: this process may live on, as notebooks do."""
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # a full disk is the error to tell
            release(folder, kind, "interrupted", **facts)
        lock.drop(folder)
        raise


def require_known(folder: Path) -> None:
    """Refuse a folder of several runs that a later version made.

    Raises:
        ValueError: as said.
    """
    made = _state(folder).get("format", FORMAT)
    if isinstance(made, int) and made > FORMAT:
        raise ValueError(
            f"the folder is of format {made}, which a later version of keras-ccsam made; this one "
            f"goes on with those up to {FORMAT}; name another folder. Received: out={str(folder)!r}"
        )


def _write(folder: Path, kind: str, status: str, **facts: Any) -> None:
    write_json(folder / _STATE, {"kind": kind, "format": FORMAT, **facts, "status": status})


def _state(folder: Path) -> dict[str, Any]:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return state if isinstance(state, dict) else {}


def _refuse_others(folder: Path) -> None:
    """Of an earlier version, which held no lock: its state.json alone says who trains."""
    require_known(folder)
    state = _state(folder)
    busy = state.get("status") == "running"
    if busy and writer.standing(state.get("process")) == writer.HERE:
        raise lock.refusal(state["process"], folder)
