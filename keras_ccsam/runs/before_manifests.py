"""Runs of format 1, which wrote down no digest of their files: what is seen all the same.

A file that is cut short is seen, and in an archive every changed bit. A changed bit of the weights
of stage 1 is not, nor is another run's file.
"""

import json
import zipfile
from pathlib import Path

import h5py

from keras_ccsam.data.npz import UNREADABLE

_IN_RESULTS = {"class_names", "class_counts", "stage1", "digest"}


def damage(folder: Path) -> str | None:
    """Say which file of a run cannot be what it wrote, and how; None where all can."""
    results = folder / "results.json"
    if results.is_file() and (lack := _broken_results(results)):
        return f"results.json {lack}"
    for name in ("model.keras", "indices.npz", "validation.npz"):
        if (folder / name).is_file() and (lack := broken_archive(folder / name)):
            return f"{name} {lack}"
    weights = folder / "checkpoints" / "stage1.weights.h5"
    if weights.is_file() and (lack := _broken_weights(weights)):
        return f"checkpoints/{weights.name} {lack}"
    return None


def broken_archive(path: Path) -> str | None:
    """Say why a file is no whole archive, by the check sums in it; None where it is one."""
    try:
        with zipfile.ZipFile(path) as archive:
            name = archive.testzip()
    except FileNotFoundError:
        return "is no longer there"
    except UNREADABLE:
        return "is damaged: it is no whole archive"
    return None if name is None else f"is damaged: its check sum of {name} does not fit"


def _broken_results(path: Path) -> str | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return "cannot be read"
    if not isinstance(found, dict) or not found.keys() >= _IN_RESULTS:
        return "lacks what it should hold"
    return None


def _broken_weights(path: Path) -> str | None:
    try:
        with h5py.File(path):
            return None
    except (OSError, RuntimeError, KeyError):
        return "is damaged: it is no whole HDF5 file"
