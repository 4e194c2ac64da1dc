"""The plane of a training's path: the two directions in which the weights moved the most.

With theta_e the weights after epoch e, of all trainable variables as one vector, and theta those of
the model, the directions are the first two principal components of the theta_e; the path is the
projection of theta_e - theta on them. So the model is the origin, and distances along the path are
true as far as the two components explain it.

References:
    Li et al., Visualizing the Loss Landscape of Neural Nets, NeurIPS 2018 (section 7.2).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from keras_ccsam.analysis.landscapes.directions import Directions
from keras_ccsam.analysis.landscapes.result import read, write

FORMAT = "keras_ccsam trajectory 1"


def write_trajectory(
    path: str | os.PathLike[str], weights: np.ndarray, shapes: Sequence[tuple[int, ...]]
) -> None:
    """Writes the points of a path.

    Args:
        path: of the .npz; its folder is made.
        weights: (E + 1, W), all trainable variables one after the other.
        shapes: of the variables.
    """
    about = {"format": FORMAT, "shapes": [list(shape) for shape in shapes]}
    write(path, about, {"weights": weights})


def read_trajectory(path: str | os.PathLike[str]) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """What `write_trajectory` wrote: weights (E + 1, W), and the shapes of the variables.

    Raises:
        ValueError: there is no such file, or it is something else.
    """
    require_trajectory(path)
    about, arrays = read(path, FORMAT)
    return arrays["weights"], [tuple(shape) for shape in about["shapes"]]


def require_trajectory(path: str | os.PathLike[str]) -> None:
    """Refuse a path that no trajectory lies at.

    Raises:
        ValueError: there is no such file.
    """
    if not Path(path).is_file():
        raise ValueError(
            "there is no trajectory: train with callbacks.WeightTrajectory, or with "
            f"ccsam train --record trajectory. Received: path={str(path)!r}"
        )


def trajectory_directions(path: str | os.PathLike[str], model: Any) -> Directions:
    """The two principal directions of a recorded training, from a model's weights.

    Args:
        path: what `callbacks.WeightTrajectory` wrote.
        model: the model at the end of that training, in the form it was trained in.

    Raises:
        ValueError: the file is no trajectory, has fewer than three points, or is of a model of
            other shapes.
    """
    recorded, shapes = read_trajectory(path)
    weights = [np.asarray(ops.convert_to_numpy(v)) for v in model.trainable_variables]
    own = [tuple(w.shape) for w in weights]
    if own != shapes:
        raise ValueError(
            "the trajectory is of a model with other weights. "
            f"Received: path={str(path)!r} with {len(shapes)} weights, model with {len(own)}"
        )
    return principal_directions(recorded, weights)


def principal_directions(recorded: np.ndarray, weights: Sequence[np.ndarray]) -> Directions:
    """The two principal directions of (E, W) points, with norms those of the weights.

    Raises:
        ValueError: fewer than three points, or points that do not move.
    """
    if len(recorded) < 3:
        raise ValueError(
            "A plane needs at least three points of a path, the start and two epochs. "
            f"Received: trajectory with {len(recorded)}"
        )
    origin = np.concatenate([np.asarray(w, "float64").ravel() for w in weights])
    points = np.asarray(recorded, "float64") - origin
    centred = points - points.mean(axis=0)
    # E x E in place of W x W: epochs are few.
    variances, vectors = np.linalg.eigh(centred @ centred.T)
    variances, vectors = variances[::-1], vectors[:, ::-1]
    total = variances.clip(0).sum()
    if not total > 0 or variances[1] <= 1e-12 * variances[0]:
        raise ValueError("The path must not lie on a line. Received: a trajectory without a plane")
    axes = [centred.T @ vectors[:, i] / np.sqrt(variances[i]) for i in (0, 1)]
    # A sign that does not depend on the library of linear algebra: training comes from the right.
    axes = [axis if points[0] @ axis >= 0 else -axis for axis in axes]
    norm = float(np.linalg.norm(origin))
    path = np.stack([points @ axis for axis in axes], axis=1) / norm
    return Directions.of(
        "pca",
        None,
        [_split(axis * norm, weights) for axis in axes],
        norm,
        "",
        path,
        tuple(float(v / total) for v in variances[:2]),
    )


def _split(flat: np.ndarray, weights: Sequence[np.ndarray]) -> list[np.ndarray]:
    """A vector as arrays of the weights' shapes and types."""
    ends = np.cumsum([w.size for w in weights])[:-1]
    parts = np.split(flat, ends)
    return [p.reshape(w.shape).astype(w.dtype) for p, w in zip(parts, weights, strict=True)]
