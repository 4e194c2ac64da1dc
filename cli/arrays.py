"""Images and labels of one's own, from an npz file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_PAIRS = (("x", "y"), ("x_test", "y_test"), ("x_train", "y_train"))


def require(path: str) -> None:
    """Refuse a file that is not there, before anything is imported to read it.

    Raises:
        ValueError: as `read`.
    """
    if not Path(path).is_file():
        raise _unreadable(path, "No such file or directory")


def _unreadable(path: str, reason: str) -> ValueError:
    return ValueError(
        f"The arrays cannot be read: {reason}. Expected an npz with images x and labels y. "
        f"Received: file={path!r}"
    )


def read(path: str) -> dict[str, Any]:
    """Read a file made with `numpy.savez(path, x=images, y=labels)`.

    Args:
        path: An npz file with `x` and `y` (or `x_test` and `y_test`, or `x_train` and `y_train`),
            and optionally `class_counts`, which has to be the counts of the labels.

    Returns:
        `x`, `y` and, where the file has them, `class_counts`.

    Raises:
        ValueError: The file is missing, truncated, no npz, or has other arrays.
    """
    from keras_ccsam.data.npz import UNREADABLE, open_npz

    try:
        with open_npz(path) as file:
            pair = next((pair for pair in _PAIRS if set(pair) <= set(file.files)), None)
            if pair is None:
                raise ValueError(f"it has {', '.join(file.files) or 'no array'}")
            names = dict(zip(("x", "y"), pair, strict=True))
            if "class_counts" in file.files:
                names["class_counts"] = "class_counts"
            return {key: file[name] for key, name in names.items()}
    except UNREADABLE as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise _unreadable(path, reason) from error
