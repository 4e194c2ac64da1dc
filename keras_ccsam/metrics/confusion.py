"""Confusion matrices in files: rows of counts, and of many classes the cells that are not 0 alone.

8,142 classes have 66 million cells, nearly all of them 0: as text that is 200 MB and minutes.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

WHOLE = 500
"""Classes up to which all cells are written."""


def written(matrix: NDArray[Any]) -> list[list[int]] | dict[str, Any]:
    """A matrix (C, C) in types that JSON knows; `read` reads it.

    Returns:
        Its rows; of more than `WHOLE` classes `classes` (C), and for each cell that is not 0 its
        row in `labels`, its column in `predicted` and its count in `samples`.
    """
    if len(matrix) <= WHOLE:
        rows: list[list[int]] = matrix.tolist()
        return rows
    labels, predicted = np.nonzero(matrix)
    return {
        "classes": len(matrix),
        "labels": labels.tolist(),
        "predicted": predicted.tolist(),
        "samples": matrix[labels, predicted].tolist(),
    }


def read(content: Any) -> NDArray[np.int64]:
    """The matrix (C, C) of what `written` gave."""
    if not isinstance(content, dict):
        return np.asarray(content, "int64")
    matrix = np.zeros((content["classes"], content["classes"]), "int64")
    matrix[content["labels"], content["predicted"]] = content["samples"]
    return matrix
