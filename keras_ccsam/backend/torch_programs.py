"""Programs of `torch.export`: written with any batch size, and read again."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def save(model: Any, path: Path) -> None:
    """Write a Keras model of one input; each of its axes without a length may have any.

    PyTorch's writer ends the process where the disk is full, so the program is put together in
    memory.
    """
    shape = [2 if size is None else size for size in model.inputs[0].shape]
    dtype = getattr(torch, model.inputs[0].dtype)
    file = io.BytesIO()
    torch.export.save(_program(model, torch.zeros(shape, dtype=dtype)), file)
    path.write_bytes(file.getbuffer())


def save_onnx(model: Any, seen: np.ndarray, path: Path) -> None:
    """Write a Keras model of one input as ONNX, by way of `torch.export`.

    It has every operation that `torch.export` has, and takes three times as long as the exporter
    that Keras uses.

    Args:
        model: in which no two free axes need to be alike.
        seen: a batch of images, of at least two.
        path: where to write.
    """
    program = _program(model, torch.from_numpy(seen))
    written: Any = torch.onnx.export(
        program, dynamo=True, verbose=False, input_names=["images"], external_data=False
    )
    written.save(path)


def _program(model: Any, seen: torch.Tensor) -> Any:
    free = {
        axis: torch.export.Dim.AUTO
        for axis, size in enumerate(model.inputs[0].shape)
        if size is None
    }
    model.eval()
    # `forward` of a Keras model takes its inputs as one tuple of any length.
    return torch.export.export(model, (seen,), dynamic_shapes=((free,),), strict=False)


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What runs a program of `torch.export`."""
    program = torch.export.load(path).module()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(program(torch.from_numpy(images)).numpy())

    return run
