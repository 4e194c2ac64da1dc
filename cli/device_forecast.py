"""Which device a backend will take, read from the machine and the package metadata alone.

Starting a framework to ask it takes seconds and, on a GPU, its memory. `ccsam doctor` shows this
forecast; `ccsam doctor --full` starts the framework and asks.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata

from .runtime import Choice, gpus, version

# The distribution that brings CUDA to a backend begins with one of these.
_CUDA_PARTS = {
    "jax": ("jax-cuda",),
    "tensorflow": ("nvidia-cudnn",),
    "torch": ("nvidia-cudnn", "nvidia-cublas"),
}
# The variable with which a user overrules a backend's own choice.
_VARIABLES = {"jax": "JAX_PLATFORMS", "torch": "KERAS_TORCH_DEVICE"}


def forecast_device(backend: str, requested: str | None = None) -> Choice:
    """Say where a backend will compute, and why.

    Args:
        backend: `jax`, `tensorflow` or `torch`; it has to be installed.
        requested: The value of `--device`, or None.

    Returns:
        The device as the user would name it, and the reason.
    """
    if requested is not None:
        return Choice(requested, "--device says so")
    variable = _VARIABLES.get(backend)
    if variable and os.environ.get(variable):
        return Choice(os.environ[variable], f"{variable} says so")
    if backend == "torch" and sys.platform == "darwin":
        return Choice("mps, or cpu on Intel", "PyTorch on macOS prefers Apple's GPU")
    found = gpus()
    if not found:
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
        return Choice("cpu", "CUDA_VISIBLE_DEVICES hides every GPU" if hidden else "no GPU found")
    if not _has_cuda(backend):
        return Choice("cpu", f"{len(found)} GPU found, but this build of {backend} has no CUDA")
    return Choice("gpu", f"{len(found)} GPU found, and {backend} is installed with CUDA")


def _has_cuda(backend: str) -> bool:
    if "+cpu" in (version(backend) or "") or (
        backend == "tensorflow" and version("tensorflow-cpu")
    ):
        return False
    if backend == "torch" and "+cu" in (version("torch") or ""):
        return True
    names = (str(found.metadata["Name"]).lower() for found in metadata.distributions())
    return any(name.startswith(_CUDA_PARTS[backend]) for name in names)
