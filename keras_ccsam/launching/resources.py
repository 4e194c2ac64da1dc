"""Cores, memory and GPUs of this machine, as far as the system tells of them."""

import sys
from collections.abc import Mapping
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP = Path("/sys/fs/cgroup")

# Who reads them: OpenMP (PyTorch), MKL, OpenBLAS, Apple's; TensorFlow; XLA on CPUs (JAX).
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",
)


def threads_set(threads: int) -> dict[str, str]:
    """The environment variables with which a process computes with so many threads."""
    return dict.fromkeys(_THREADS, str(threads))


def own_peak() -> int | None:
    """The most memory that this process held, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def held(pid: int) -> tuple[int, int] | None:
    """The memory that a process holds and the most that it held, in bytes; None without /proc."""
    found = _fields(Path(f"/proc/{pid}/status"))
    return (found["VmRSS"], found["VmHWM"]) if {"VmRSS", "VmHWM"} <= set(found) else None


def available() -> int | None:
    """Bytes of memory that new processes may take, in a container those left of its share.

    None where the system does not say.
    """
    left = _fields(_MEMINFO).get("MemAvailable")
    try:
        limit = (_GROUP / "memory.max").read_text().strip()
        if limit != "max":
            stat = dict(line.split() for line in (_GROUP / "memory.stat").read_text().splitlines())
            # What the system keeps of files is given back when it is needed.
            used = int((_GROUP / "memory.current").read_text()) - int(stat["inactive_file"])
            share = max(0, int(limit) - used)
            left = share if left is None else min(left, share)
    except (OSError, ValueError, KeyError):
        pass
    return left


def gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The NVIDIA GPUs that a process with these variables is shown, as CUDA counts them."""
    shown = environment.get("CUDA_VISIBLE_DEVICES")
    if shown is not None:
        return tuple(one.strip() for one in shown.split(",") if one.strip() not in ("", "-1"))
    count = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return tuple(map(str, range(count)))


def _fields(file: Path) -> dict[str, int]:
    """The lines `VmHWM:  1234 kB` of a file of /proc, in bytes."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    words = (line.split() for line in lines if line.endswith(" kB"))
    return {word[0].rstrip(":"): int(word[1]) * 1024 for word in words}
