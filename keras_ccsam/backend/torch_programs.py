"""Programs of `torch.export`: written with any batch size, and read again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


def save(model: Any, path: Path) -> None:
    """Write a Keras model of one input; each of its axes without a length may have any."""
    free = {
        axis: torch.export.Dim.AUTO
        for axis, size in enumerate(model.inputs[0].shape)
        if size is None
    }
    model.eval()
    model.export(path, format="torch", verbose=False, dynamic_shapes=free)


def load(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """What runs a program of `torch.export`."""
    program = torch.export.load(path).module()

    def run(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return np.asarray(program(torch.from_numpy(images)).numpy())

    return run
