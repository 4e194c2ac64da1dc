"""One process at a time trains in a folder of several runs."""

import json
from pathlib import Path
from typing import Any

from keras_ccsam import writer
from keras_ccsam.runs.run_directory import write_json

_STATE = "state.json"


def claim(folder: Path, kind: str, **facts: Any) -> None:
    """Write into a folder that this process trains in it.

    Args:
        folder: it is there.
        kind: what the folder is: `"comparison"` or `"reproduction"`.
        **facts: what else its state.json says.

    Raises:
        ValueError: another process of this machine is at work in it. Nothing has been written.
    """
    _refuse_others(folder)
    process = writer.this_process()
    state = {"kind": kind, **facts, "status": "running", "process": process}
    write_json(folder / _STATE, state)
    # Of two that came at the same moment, the second one has written over the first.
    _refuse_others(folder)


def release(folder: Path, kind: str, status: str = "complete", **facts: Any) -> None:
    """Write how it ended."""
    write_json(folder / _STATE, {"kind": kind, **facts, "status": status})


def _refuse_others(folder: Path) -> None:
    try:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    busy = isinstance(state, dict) and state.get("status") == "running"
    if busy and writer.standing(state.get("process")) == writer.HERE:
        raise ValueError(
            f"another process ({state['process']['pid']}) trains in this folder; let it end, or "
            f"name another folder. Received: out={str(folder)!r}"
        )
