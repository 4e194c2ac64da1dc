"""Where CC-SAM's second stage moves the training images' features to, in finished runs.

    python studies/moved.py --runs runs/study --places digits cifar-fifth --draws 100 101 102

Of each draw it takes the features of stage 1 and two classifiers: that of `crt-continued` and that
of `ccsam-stage2`, both after their last epoch. It draws class-balanced batches as stage 2 does,
moves their features against the classifier as `ccsam-stage2` does, in float64 and by a formula of
its own (dl/dh = W (p - onehot)), and writes the groups' means, and the epochs of stage 1, to
studies/results/moved-here.json:

    step       how far a feature is moved, ||h' - h||
    norm       ||h||
    cosine     of h and h'
    gap        from a class's mean feature to the nearest other class's
    margin     distance of h to the nearest boundary, below 0 on its far side; `margin_moved` of h'
    beyond     share of the features on the far side; `beyond_moved` of those that are moved
    column     norm of the class's column of the kernel, less the columns' mean
    learnt     share of the class's training images that the classifier finds
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from studies.question import PLACES, RESULTS  # noqa: E402

FILE = "moved-here.json"
ROWS = ("crt-continued", "ccsam-stage2")
EPOCHS = 8
"""That many epochs' batches are looked at."""


def moved(
    features: np.ndarray, labels: np.ndarray, kernel: np.ndarray, bias: np.ndarray, radius: Any
) -> np.ndarray:
    """h + radius_y a / ||a||, the norm over the rows of the class in the batch."""
    scores = features @ kernel + bias
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    ascent = (chances - np.eye(kernel.shape[1])[labels]) @ kernel.T
    group = labels[:, None] == labels[None, :]
    norm = np.sqrt(group @ np.sum(ascent**2, axis=1))
    return features + (radius[labels] / np.maximum(norm, 1e-12))[:, None] * ascent


def margins(
    features: np.ndarray, labels: np.ndarray, kernel: np.ndarray, bias: np.ndarray
) -> np.ndarray:
    """Signed distance of each feature to the nearest boundary of its class."""
    rows = np.arange(len(labels))
    scores = features @ kernel + bias
    ahead = scores[rows, labels][:, None] - scores
    apart = np.linalg.norm(kernel[:, labels].T[:, None] - kernel.T[None], axis=2)
    apart[rows, labels], ahead[rows, labels] = 1.0, np.inf
    nearest: np.ndarray = (ahead / np.maximum(apart, 1e-12)).min(axis=1)
    return nearest


def measured(
    features: np.ndarray,
    labels: np.ndarray,
    counts: np.ndarray,
    kernel: np.ndarray,
    bias: np.ndarray,
    batch_size: int,
) -> dict[str, list[float]]:
    """Of each class what the file's docstring lists, but for the gap."""
    from keras_ccsam.data.batches.samplers import epoch_plan
    from keras_ccsam.sharpness.adversarial_features import adversarial_class_weights

    radius = np.array(adversarial_class_weights(counts.tolist()))
    found: dict[str, list[np.ndarray]] = {}
    for epoch in range(EPOCHS):
        plan = epoch_plan("class_balanced", labels, seed=0, epoch=epoch)
        for start in range(0, len(plan) - batch_size + 1, batch_size):
            rows = plan[start : start + batch_size]
            h, y = features[rows], labels[rows]
            new = moved(h, y, kernel, bias, radius)
            norms = np.linalg.norm(h, axis=1), np.linalg.norm(new, axis=1)
            before, after = (margins(each, y, kernel, bias) for each in (h, new))
            values = {
                "class": y,
                "step": np.linalg.norm(new - h, axis=1),
                "norm": norms[0],
                "cosine": np.sum(h * new, axis=1) / np.maximum(norms[0] * norms[1], 1e-12),
                "margin": before,
                "margin_moved": after,
                "beyond": before < 0,
                "beyond_moved": after < 0,
            }
            for name, value in values.items():
                found.setdefault(name, []).append(value)
    seen = {name: np.concatenate(parts) for name, parts in found.items()}
    owners = seen.pop("class")
    classes = range(len(counts))
    right = np.argmax(features @ kernel + bias, axis=1) == labels
    return {
        **{k: [float(v[owners == c].mean()) for c in classes] for k, v in seen.items()},
        "column": np.linalg.norm(kernel - kernel.mean(axis=1, keepdims=True), axis=0).tolist(),
        "learnt": [float(right[labels == c].mean()) for c in classes],
    }


def gaps(features: np.ndarray, labels: np.ndarray) -> list[float]:
    """From each class's mean feature to the nearest other one."""
    means = np.stack([features[labels == c].mean(axis=0) for c in np.unique(labels)])
    return [float(np.sort(np.linalg.norm(means - mean, axis=1))[1]) for mean in means]


def of_cell(folder: Path) -> list[dict[str, Any]]:
    """The rows of a place, ratio and draw: one for each classifier and group."""
    from keras import ops

    from keras_ccsam.runs.trained_run import open_run
    from keras_ccsam.second_stage import extract_features

    found: list[dict[str, Any]] = []
    known: Any = None
    for name in ROWS:
        # The plain row: no other has a shorter name.
        path = min(folder.glob(f"{name}-*seed*"), key=lambda each: len(each.name))
        run = open_run(path)
        model = run.stage1_model()
        if known is None:
            images, labels = run.images.split_arrays("train")
            known = np.asarray(extract_features(model, images), "float64"), np.asarray(labels)
        # What is exported ends in the classifier.
        kernel, bias = (
            np.asarray(ops.convert_to_numpy(w), "float64") for w in run.model().weights[-2:]
        )
        if kernel.shape != tuple(model.head.kernel.shape):
            raise ValueError(f"{path}: the last weights are no kernel and bias")
        counts = np.array(run.images.class_counts)
        size, epochs = run.recipe.stage1.batch_size, run.recipe.stage1.epochs
        classes = measured(*known, counts, kernel, bias, size) | {"gap": gaps(*known)}
        for group, members in run.groups().items():
            means = {
                key: round(float(np.mean([values[c] for c in members])), 5)
                for key, values in classes.items()
            }
            found.append({"epochs": epochs, "row": name, "group": group, **means})
    return found


def main() -> None:
    """Measure, and put the rows among those that are written already."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True, help="what studies/run.py wrote")
    parser.add_argument("--places", nargs="+", choices=list(PLACES), required=True)
    parser.add_argument("--draws", nargs="+", type=int, required=True)
    parser.add_argument("--backend", choices=("jax", "torch", "tensorflow"), default="torch")
    parser.add_argument("--results", type=Path, default=RESULTS)
    asked = parser.parse_args()
    os.environ["KERAS_BACKEND"] = asked.backend
    from keras_ccsam import atomic

    path = asked.results / FILE
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"rows": []}
    keys = ("place", "epochs", "draw", "row", "group")
    rows = {tuple(row[key] for key in keys): row for row in content["rows"]}
    for place in asked.places:
        for draw in asked.draws:
            (folder,) = asked.runs.glob(f"{place}-ratio*-draw{draw}")
            for row in of_cell(folder):
                row = {"place": place, "draw": draw, **row}
                rows[tuple(row[key] for key in keys)] = row
            print(folder, flush=True)
    lines = ",\n  ".join(json.dumps(row) for row in rows.values())
    atomic.write_text(path, f'{{"kind": "study-moved", "rows": [\n  {lines}\n ]}}\n')


if __name__ == "__main__":
    main()
