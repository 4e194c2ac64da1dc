"""Which process writes into a folder, and whether it is still there.

A process that is killed cannot say so: its folder says "running" for ever. So the folder says which
process that was, and whoever reads it on the same machine can look.

It imports the standard library alone: the command line asks it before Keras is imported.
"""

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

OWN, HERE, GONE, UNKNOWN = "own", "here", "gone", "unknown"


def this_process() -> dict[str, Any]:
    """Describe this process, as JSON types; the machine is a hash that names nobody."""
    pid = os.getpid()
    return {"pid": pid, "started": _started(pid), "machine": _machine()}


def standing(process: Any) -> str:
    """Say what has become of a process.

    Args:
        process: of `this_process`, or anything else that a file holds in its place.

    Returns:
        `OWN`, `HERE` (another one, which still runs), `GONE`, or `UNKNOWN`: it ran on another
        machine or in another container, or this system does not say.
    """
    own = this_process()
    if isinstance(process, dict) and own.items() <= process.items():
        return OWN
    pid = process.get("pid") if isinstance(process, dict) else None
    if not isinstance(pid, int) or pid < 1 or process.get("machine") != own["machine"]:
        return UNKNOWN
    if own["started"] is not None:
        # Numbers of processes are used again; the time they started at is not.
        return HERE if process.get("started") == _started(pid) is not None else GONE
    return _asked(pid)


def _asked(pid: int) -> str:
    """The same where there is no /proc."""
    if os.name != "posix":  # there, signal 0 is Ctrl-C
        return UNKNOWN
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return GONE
    except (PermissionError, OverflowError):
        return HERE
    return HERE


def _started(pid: int) -> int | None:
    """When a process started, in ticks of the machine's clock; None without it, or without /proc.

    One that has ended and that nobody has asked for its exit code is no process any more.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *others = text.rpartition(")")[2].split()
        return None if state in "ZX" else int(others[18])
    except (OSError, ValueError, IndexError):
        return None


def _machine() -> str:
    """The machine, and of a container its own numbering of processes."""
    try:
        numbering = os.readlink("/proc/self/ns/pid")
    except OSError:
        numbering = ""
    return hashlib.sha256(f"{platform.node()} {numbering}".encode()).hexdigest()[:16]
