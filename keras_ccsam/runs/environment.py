"""What a run was trained with."""

import importlib.metadata
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import backend

_PACKAGES = ("keras-ccsam", "keras", "numpy", "jax", "jaxlib", "tensorflow", "torch", "pydantic")


def describe() -> dict[str, Any]:
    """Return versions, backend, device, command line and git revision; no environment values."""
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "backend": keras.backend.backend(),
        "device": str(getattr(keras.ops.zeros(()), "device", "unknown")),
        "deterministic": backend.is_deterministic(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "git": _git(),
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """The revision of the working directory, if it is in a git repository."""
    try:
        revision = _run("git", "rev-parse", "HEAD")
        return {"revision": revision, "modified": bool(_run("git", "status", "--porcelain"))}
    except (OSError, subprocess.SubprocessError):
        return None


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
