"""What an exported model says of itself, inside the file and beside it."""

import json
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import atomic
from keras_ccsam.data.npz import UNREADABLE
from keras_ccsam.deployment import onnx_graph

MEMBER = "keras_ccsam.json"
"""The name of the facts inside an exported file."""

_PACKAGES = ("keras-ccsam", "keras", "numpy", "jax", "tensorflow", "torch", "onnx")


def versions() -> dict[str, str]:
    """The packages that may have a part in an exported file, with their versions."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def put_inside(format_name: str, path: Path, facts: dict[str, Any]) -> None:
    """Put the facts into a written file, where its format has a place for them.

    A Keras file is a zip archive, whose reader passes over a member that it does not know. A LiteRT
    file may end in such an archive: that is where TensorFlow's own metadata has its files. A
    SavedModel has the folder assets.extra. A torch program has the file beside it alone.
    """
    if format_name == "onnx":
        onnx_graph.describe(path, facts)
    elif format_name == "saved_model":
        folder = path / "assets.extra"
        folder.mkdir(exist_ok=True)
        (folder / MEMBER).write_text(_text(facts), encoding="utf-8")
    elif format_name in ("keras", "litert"):
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr(MEMBER, _text(facts))


def found_inside(path: Path) -> dict[str, Any] | None:
    """The facts of an exported Keras file, or None where it has none."""
    try:
        with zipfile.ZipFile(path) as archive:
            found: dict[str, Any] = json.loads(archive.read(MEMBER))
            return found
    except (*UNREADABLE, RuntimeError):  # the last one of a member that is encrypted
        return None


def beside(path: Path) -> Path:
    """The file of facts that lies beside an exported model: its name and `.json`."""
    return path.with_name(f"{path.name}.json")


def put_beside(path: Path, facts: dict[str, Any]) -> None:
    """Write the facts beside an exported model."""
    atomic.write_text(beside(path), _text(facts) + "\n")


def backend_in_use() -> str:
    """The Keras backend of this process."""
    return str(keras.backend.backend())


def _text(facts: dict[str, Any]) -> str:
    return json.dumps(facts, indent=2, ensure_ascii=False, allow_nan=False)
