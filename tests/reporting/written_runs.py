"""Run directories as files alone: nothing is trained, and the numbers are what a test wants."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from keras_ccsam.analysis import representation
from keras_ccsam.analysis.calibration import Predictions, calibration, group_calibration
from keras_ccsam.analysis.leakage import leakage
from keras_ccsam.metrics import Report, group_classes

HOSTILE = (
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror=window.hacked=2>",
    '"\' onmouseover="window.hacked=3" x=\'',
    "a\u2028b\u2029c",
    "{{ 7 * 7 }}{% raw %}",
    "&lt;b&gt;<b>bold</b>",
    "]]><!--",
    "ordinary",
    "javascript:window.hacked=4",
    "名前 ± ünï",
)
COUNTS = (128, 82, 53, 34, 22, 14, 9, 6, 4, 2)
TOML = """name = {name}
setting = {setting}
description = {description}
seed = {seed}

[data]
name = "digits-lt"
imbalance_ratio = 50.0

[model]
backbone = "small_cnn"

[stage1]
epochs = 3
lr = {rate}
"""


def write_run(
    folder: Path,
    name: str = "ce",
    seed: int = 0,
    *,
    class_names: Sequence[str] = HOSTILE,
    class_counts: Sequence[int] = COUNTS,
    rate: float = 0.1,
    skill: float = 2.0,
    stages: int = 1,
    epochs: int = 3,
    status: str = "complete",
    predicted: bool = True,
    per_class: int = 20,
    backend: str = "jax",
) -> Path:
    """Write a finished run whose predictions are random, the better the higher `skill`."""
    rng = np.random.default_rng(seed + 100 * len(name))
    size = len(class_counts)
    labels = np.repeat(np.arange(size), per_class)
    logits = rng.normal(size=(len(labels), size))
    rare = np.linspace(1.0, 0.3, size)[np.argsort(np.argsort([-n for n in class_counts]))]
    logits[np.arange(len(labels)), labels] += skill * rare[labels]
    groups = group_classes(class_counts, "thirds")
    report = Report.from_predictions(labels, logits, class_counts, groups="thirds")
    (folder / "analysis").mkdir(parents=True)
    text = TOML.format(
        name=json.dumps(name),
        setting='"digits-lt"',
        description=json.dumps(f"What {name} is."),
        seed=seed,
        rate=rate,
    )
    (folder / "recipe.toml").write_text(text + "\n[stage2]\nepochs = 2\n" * (stages > 1), "utf-8")
    results = {
        "recipe": name,
        "setting": "digits-lt",
        "data": "digits-lt",
        "seed": seed,
        "digest": "0123456789abcdef",
        "class_names": list(class_names),
        "class_counts": list(class_counts),
        "parameters": 12345,
        "epochs": {"stage1": epochs, "stage2": 2 * (stages > 1)},
        "seconds": {"stage1": 1.5, "stage2": 0.0},
        "ms_per_step": 3.25 + seed,
        "stage1": report.to_dict(),
        "test": report.to_dict(),
    }
    _json(folder / "results.json", results)
    _json(folder / "state.json", {"kind": "run", "status": status})
    command = ["__main__.py", "train", name, "--seed", str(seed)]
    environment = {"command": command, "backend": backend, "packages": {"keras": "3.15.1"}}
    _json(folder / "environment.json", environment)
    lines = [
        {"stage": stage, "epoch": epoch, "steps": 9, "seconds": 0.1, "learning_rate": rate / epoch}
        | {"accuracy": 0.5 + 0.4 * epoch / epochs, "loss": 2.0 / epoch + 0.01 * seed}
        for stage in range(1, stages + 1)
        for epoch in range(1, (epochs if stage == 1 else 2) + 1)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines), "utf-8")
    if predicted:
        _predictions(folder / "analysis", labels, logits, groups, class_counts)
    return folder


def _predictions(
    folder: Path, labels: np.ndarray, logits: np.ndarray, groups: Any, counts: Sequence[int]
) -> None:
    found = Predictions.of(labels, logits)
    plane = representation.project(logits, labels, samples=200)
    confusion = np.zeros((len(counts), len(counts)), "int64")
    np.add.at(confusion, (found.labels, found.predicted), 1)
    norms = (0.5 + 0.1 * np.log(counts)).tolist()
    content = {
        "kind": "predictions",
        "format": 1,
        "split": "test",
        "samples": len(labels),
        "calibration": {
            "overall": calibration(found).to_dict(),
            "groups": {n: c.to_dict() for n, c in group_calibration(found, groups).items()},
        },
        "leakage": leakage(confusion, groups).to_dict(),
        "representation": {
            "features": 10,
            "weight_norms": norms,
            "feature_norms": norms,
            "weight_norm_correlation": 1.0,
            "feature_norm_correlation": 1.0,
        },
        "projection": {"method": "pca", "samples": len(plane.samples), "explained": [0.3, 0.2]},
    }
    _json(folder / "predictions.json", content)
    np.savez_compressed(
        folder / "predictions.npz",
        **found.arrays(),
        projection=plane.points,
        projected=plane.samples,
    )


def _json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
