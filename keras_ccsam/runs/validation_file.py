"""The file of the classes that a run predicts of its validation images."""

from pathlib import Path

import numpy as np

from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.manifest import Damaged


def write(path: Path, predicted: np.ndarray) -> None:
    """Write the predicted classes (N,)."""
    np.savez_compressed(path, predicted=predicted.astype("int32"))


def read(path: Path) -> np.ndarray:
    """Return the predicted classes (N,).

    Raises:
        Damaged: the file cannot be read.
    """
    try:
        with open_npz(path) as file:
            return np.asarray(file["predicted"])
    except UNREADABLE as error:
        raise Damaged(
            f"what the run predicts of its validation images cannot be read: {error}. "
            f"Received: path={str(path)!r}"
        ) from error
