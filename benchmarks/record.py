"""What every benchmark writes down: the device, the machine, peak memory, and rows in a JSON file.

A file of results holds the machine of the last call and `rows`. Each row is one setting, found
again by the values of the fields that the file names as its `key`, so that a call replaces the
settings that it measures and keeps the others; each row therefore says when, and with how many
threads, it was measured.
"""

import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import resource
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


def results_file(name: str, device: str | None = None, folder: str | Path = RESULTS) -> Path:
    """Where a benchmark writes: `<folder>/<name>-<device>.json`, or `<folder>/<name>.json`."""
    if device is None:
        return Path(folder) / f"{name}.json"
    slug = "".join(c if c.isalnum() else "-" for c in device.lower())
    return Path(folder) / f"{name}-{slug}.json"


def load(path: str | Path) -> dict[str, Any]:
    """A file of results; `{"rows": []}` where there is none."""
    path = Path(path)
    if not path.is_file():
        return {"rows": []}
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {"rows": [], **content}


def save(
    path: str | Path, rows: Iterable[Row], key: Sequence[str], backend: str | None, **header: Any
) -> None:
    """Writes rows among those of earlier calls, whole or not at all.

    Args:
        path: of the JSON file.
        rows: what was measured now. A row in the file with the same values of `key` is replaced.
        key: names of the fields that identify a row.
        backend: for `machine`.
        **header: more fields of the file.
    """

    def identity(row: Row) -> tuple[Any, ...]:
        return tuple(row.get(field) for field in key)

    stamp = {"date": datetime.date.today().isoformat(), "threads": threads()}
    now = {identity(row): {**row, **stamp} for row in rows}
    merged = [now.pop(identity(row), row) for row in load(path)["rows"]] + list(now.values())
    content = {**machine(backend), **header, "key": list(key), "rows": merged}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    light("atomic").write_text(path, json.dumps(content, indent=1) + "\n")


def light(name: str) -> Any:
    """A file of `keras_ccsam` by itself: the package takes seconds to import, and imports Keras."""
    package = Path(__file__).resolve().parents[1] / "keras_ccsam"
    path = package.joinpath(*name.split(".")).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(f"keras_ccsam_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is wanted")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def threads() -> int | None:
    """The limit that the environment sets, or None."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() else None


def machine(backend: str | None) -> dict[str, Any]:
    """Processor, cores and versions; with a `backend`, it and its device."""
    processor = platform.processor() or platform.machine()
    information = Path("/proc/cpuinfo")
    if information.exists():
        lines = information.read_text(encoding="utf-8").splitlines()
        named = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
        processor = next(named, processor)
    versions = {}
    for package in ("keras", "numpy", *((backend,) if backend else ("jax", "tensorflow", "torch"))):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    own = {} if backend is None else {"backend": backend, "device": device(backend)}
    return {
        **own,
        "cpu": processor,
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **versions,
    }


def device(backend: str | None = None) -> str:
    """`cpu`, or the GPU that a backend (None: that of Keras) computes on."""
    name = backend or _backend()
    if name == "torch":
        import torch

        return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    if name == "jax":
        import jax

        first = jax.devices()[0]
        return "cpu" if first.platform == "cpu" else str(first.device_kind)
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "cpu"


def allocated(backend: str | None = None) -> float:
    """The peak so far in MiB: of a GPU's allocator, else of the process's resident set."""
    name = backend or _backend()
    if name == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.max_memory_allocated() / 2**20
    if name == "jax":
        import jax

        stats = jax.local_devices()[0].memory_stats() or {}
        if "peak_bytes_in_use" in stats:
            return stats["peak_bytes_in_use"] / 2**20
    if name == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def start_of_peak(backend: str | None = None) -> float:
    """MiB in use now; on Linux the peak of the resident set starts anew from here."""
    reset = Path("/proc/self/clear_refs")
    if reset.exists():
        reset.write_text("5")
    return allocated(backend)


def _backend() -> str:
    import keras

    return str(keras.backend.backend())
