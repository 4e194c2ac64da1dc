"""One forward pass of a run's test set, and what follows from it, kept in the run's `analysis`.

predictions.json   calibration overall and per group, leakage, norms per class
predictions.npz    per test sample: label, prediction, confidence, NLL, Brier; and the projection
"""

from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam import atomic
from keras_ccsam.analysis import representation
from keras_ccsam.analysis.calibration import Predictions, calibration, group_calibration
from keras_ccsam.analysis.leakage import leakage
from keras_ccsam.analysis.representation import Method, Outputs, Projection
from keras_ccsam.data.npz import UNREADABLE, open_npz
from keras_ccsam.runs.folders import PathLike
from keras_ccsam.runs.run_directory import read_json, write_json
from keras_ccsam.runs.trained_run import open_run

FILE = "predictions"
FORMAT = 1


def predict(
    run_dir: PathLike,
    *,
    projection: Method = "pca",
    samples: int = representation.SAMPLES,
    seed: int = 0,
    data: PathLike | None = None,
    trust_code: bool = False,
) -> dict[str, Any]:
    """Predict a run's test set and write `analysis/predictions.json` and `.npz`.

    Args:
        run_dir: a finished run.
        projection: how features are drawn in the plane, see `representation.project`.
        samples: points of the projection at most.
        seed: of the projection.
        data, trust_code: as in `runs.open_run`.

    Returns:
        The content of predictions.json.

    Raises:
        ValueError: as `runs.open_run`.
    """
    run = open_run(run_dir, data=data, trust_code=trust_code)
    x, y = run.images.split_arrays("test")
    seen = representation.forward(run.model(), x)
    found = Predictions.of(y, seen.outputs, from_logits=True)
    groups = {name: tuple(c) for name, c in run.results["test"]["group_classes"].items()}
    counts = run.results["class_counts"]
    confusion = np.zeros((len(counts), len(counts)), "int64")
    np.add.at(confusion, (found.labels, found.predicted), 1)
    parts = group_calibration(found, groups)
    plane = _projection(seen, found.labels, projection, samples, seed)
    content = {
        "kind": "predictions",
        "format": FORMAT,
        "split": "test",
        "samples": len(found.labels),
        "calibration": {
            "overall": calibration(found).to_dict(),
            "groups": {name: part.to_dict() for name, part in parts.items()},
        },
        "leakage": leakage(confusion, groups).to_dict(),
        "representation": _norms(seen, found.labels, counts),
        "projection": None if plane is None else _described(plane),
    }
    folder = run.directory.analysis
    folder.mkdir(exist_ok=True)
    kept: dict[str, Any] = {name: _small(values) for name, values in found.arrays().items()}
    if plane is not None:
        kept |= {"projection": plane.points, "projected": plane.samples.astype("int32")}
    with atomic.replacing(folder / f"{FILE}.npz") as temporary:
        np.savez_compressed(temporary, **kept)
    # Last: whoever finds it finds the arrays, too.
    write_json(folder / f"{FILE}.json", content)
    return content


def predicted(folder: Path) -> dict[str, Any] | None:
    """What `predict` wrote into a run's `analysis`; None where it did not, or it cannot be read."""
    if not (folder / f"{FILE}.json").is_file() or not (folder / f"{FILE}.npz").is_file():
        return None
    try:
        content = read_json(folder / f"{FILE}.json")
        arrays(folder)
    except UNREADABLE:
        return None
    return content if content.get("format") == FORMAT else None


def arrays(folder: Path) -> dict[str, np.ndarray]:
    """The arrays that `predict` wrote."""
    with open_npz(folder / f"{FILE}.npz") as file:
        return {name: file[name] for name in file.files}


def _projection(
    seen: Outputs, labels: np.ndarray, method: Method, samples: int, seed: int
) -> Projection | None:
    if seen.features is None or min(seen.features.shape) < 2:
        return None
    return representation.project(seen.features, labels, method, samples=samples, seed=seed)


def _norms(seen: Outputs, labels: np.ndarray, counts: list[int]) -> dict[str, Any] | None:
    if seen.features is None or seen.weights is None:
        return None
    weights = representation.weight_norms(seen.weights)
    features = representation.feature_norms(seen.features, labels, len(counts))
    return {
        "features": int(seen.features.shape[1]),
        "weight_norms": weights.tolist(),
        "feature_norms": features.tolist(),
        "weight_norm_correlation": representation.count_correlation(weights.tolist(), counts),
        "feature_norm_correlation": representation.count_correlation(features.tolist(), counts),
    }


def _described(plane: Projection) -> dict[str, Any]:
    return {
        "method": plane.method,
        "samples": len(plane.samples),
        "explained": None if plane.explained is None else list(plane.explained),
        "seed": plane.seed,
    }


def _small(values: np.ndarray) -> np.ndarray:
    return values.astype("int32" if values.dtype.kind in "iu" else "float32")
