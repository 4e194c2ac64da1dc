"""How long a GPU computes while it trains, by the framework's own profiler."""

import tempfile
from collections.abc import Callable
from pathlib import Path


def seconds(backend: str, train: Callable[[], object]) -> float | None:
    """The time in kernels of a GPU, added up; None where there is none, or no profiler tells.

    Args:
        backend: the framework of this process.
        train: trains some steps.
    """
    return _of_torch(train) if backend == "torch" else _of_xla(backend, train)


def _of_torch(train: Callable[[], object]) -> float | None:
    import torch
    from torch.profiler import ProfilerActivity, profile

    if not torch.cuda.is_available():
        return None
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        train()
    return sum(event.self_device_time_total for event in profiler.key_averages()) / 1e6


def _of_xla(backend: str, train: Callable[[], object]) -> float | None:
    try:
        import jax
        from jax.profiler import ProfileData
    except ImportError:  # its reader serves TensorFlow's traces, too
        return None
    with tempfile.TemporaryDirectory() as folder:
        if backend == "jax":
            if jax.default_backend() == "cpu":
                return None
            with jax.profiler.trace(folder):
                train()
        else:
            import tensorflow as tf

            if not tf.config.list_physical_devices("GPU"):
                return None
            with tf.profiler.experimental.Profile(folder):
                train()
        trace = next(Path(folder).rglob("*.xplane.pb"))
        streams = (
            line
            for plane in ProfileData.from_file(str(trace)).planes
            if "GPU" in plane.name
            for line in plane.lines
            if line.name.startswith("Stream")
        )
        return sum(event.duration_ns for line in streams for event in line.events) / 1e9
