"""Data without a sample, of which each backend has something else to say."""

from typing import Any

import keras


def check_samples(x: Any) -> None:
    """Refuses inputs without a sample.

    Args:
        x: of `keras.Model.fit`: arrays, tensors, or a dict or list of them, or a `PyDataset`. What
            shows its batches only as they are read is passed.

    Raises:
        ValueError: there is none.
    """
    if isinstance(x, keras.utils.PyDataset):
        if hasattr(x, "__len__") and len(x) == 0:
            raise nothing(f"x={type(x).__name__} of length 0")
        return
    for part in keras.tree.flatten(x) if isinstance(x, dict | list | tuple) else [x]:
        shape = tuple(getattr(part, "shape", None) or ())
        if shape[:1] == (0,):
            raise nothing(f"x.shape={shape}")


def nothing(received: str) -> ValueError:
    """What is said of data without a sample."""
    return ValueError(
        f"there is nothing to train on: the data must hold a sample. Received: {received}"
    )
