"""Writing and running an exported model, on the backend that the format needs.

A Keras model of stock layers is a file that every backend reads. So the backend in use does it if
it is the right one and computes on the CPU, and a process of its own otherwise: what is exported
never depends on a GPU, and two frameworks do not meet in one process.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam.deployment import writing

_DEVICES = {
    "jax": {"JAX_PLATFORMS": "cpu"},
    "tensorflow": {"CUDA_VISIBLE_DEVICES": "-1"},
    "torch": {"CUDA_VISIBLE_DEVICES": "", "KERAS_TORCH_DEVICE": "cpu"},
}


def write_and_ask(
    model: keras.Model, format_name: str, path: Path, backend: str | None, inputs: list[np.ndarray]
) -> list[np.ndarray]:
    """Write a model, load what was written, and return what it says of some batches.

    Args:
        model: of stock layers.
        format_name: of `formats.FORMATS`.
        path: where to write.
        backend: that writes it; None for the one in use.
        inputs: batches of images; none, where nothing can run what was written.

    Raises:
        ValueError: what the backend could not do, in its own words.
        OSError: the disk is full, or may not be written.
    """
    if backend in (None, keras.backend.backend()) and _on_cpu():
        try:
            writing.write(model, format_name, path)
            return writing.answers(format_name, path, inputs) if inputs else []
        except Exception as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise  # a full disk is no matter of the format
            raise _failed(format_name, backend or keras.backend.backend(), str(error)) from error
    return _in_a_process(model, format_name, path, backend or keras.backend.backend(), inputs)


def _in_a_process(
    model: keras.Model, format_name: str, path: Path, backend: str, inputs: list[np.ndarray]
) -> list[np.ndarray]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "model.keras")
        _save(folder / "inputs.npz", inputs)
        written = folder / f"written{path.suffix}"
        command = [sys.executable, "-m", __name__, str(folder), format_name, written.name]
        environment = {
            **os.environ,
            **_DEVICES[backend],
            "KERAS_BACKEND": backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise _failed(format_name, backend, lines[-1] if lines else "it ended without a word")
        shutil.move(written, path)
        if not inputs:
            return []
        with np.load(folder / "outputs.npz", allow_pickle=False) as outputs:
            return [outputs[f"b{i}"] for i in range(len(inputs))]


def _work(folder: Path, format_name: str, name: str) -> None:
    """What the process does."""
    model = keras.models.load_model(folder / "model.keras", compile=False, safe_mode=True)
    writing.write(model, format_name, folder / name)
    with np.load(folder / "inputs.npz", allow_pickle=False) as file:
        inputs = [file[f"b{i}"] for i in range(len(file.files))]
    found = writing.answers(format_name, folder / name, inputs) if inputs else []
    _save(folder / "outputs.npz", found)


def _save(file: Path, batches: list[np.ndarray]) -> None:
    named: dict[str, Any] = {f"b{i}": batch for i, batch in enumerate(batches)}
    np.savez(file, **named)


def _on_cpu() -> bool:
    return "cpu" in str(keras.ops.convert_to_tensor([0.0]).device).lower()


def _failed(format_name: str, backend: str, reason: str) -> ValueError:
    line = " ".join(reason.split())[:400]
    return ValueError(
        f"the {backend} backend cannot write this network as {format_name}: {line}. Another "
        f"format may do. Received: format={format_name!r}"
    )


if __name__ == "__main__":
    _work(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
