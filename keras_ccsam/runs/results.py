"""What results.json says of a run."""

import os
import statistics
from typing import Any

import keras

from keras_ccsam import pixels
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.data import LongTailedData
from keras_ccsam.metrics import Report
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import parts
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.training import SharpnessAwareModel


def collected(
    recipe: Recipe,
    images: LongTailedData,
    model: SharpnessAwareModel,
    directory: RunDirectory,
    reports: dict[str, Report],
    source: RunDirectory | None,
) -> dict[str, Any]:
    """Put results.json together; times are those of the training steps alone."""
    records = directory.metrics()
    return {
        "recipe": recipe.name,
        "setting": recipe.setting,
        "data": recipe.data.name,
        "seed": recipe.seed,
        "digest": recipe.digest(),
        "stage1_digest": recipe.stage1_digest(),
        "stage1_from": None if source is None else os.path.relpath(source.path, directory.path),
        "backend": keras.backend.backend(),
        "class_names": list(images.class_names),
        "class_counts": list(images.class_counts),
        "pixels": _pixels(images),
        **({"skipped": [vars(each) for each in images.skipped]} if images.skipped else {}),
        "parameters": parts.count_parameters(model),
        "epochs": {f"stage{n}": sum(r["stage"] == n for r in records) for n in (1, 2)},
        "seconds": {
            f"stage{n}": round(sum(r["seconds"] for r in records if r["stage"] == n), 3)
            for n in (1, 2)
        },
        "ms_per_step": milliseconds_per_step(directory.metrics(stage=1)),
        **{split: report.to_dict() for split, report in reports.items()},
    }


def _pixels(images: LongTailedData) -> dict[str, Any] | None:
    """What the training images are like, for whoever asks the network about others."""
    found = pixels.record(images.x_train)
    return None if found is None else found.to_dict()


def milliseconds_per_step(records: list[metrics_log.Record]) -> float | None:
    """Return the median over the epochs after the first, which also compiles; None without any."""
    later = [1000 * r["seconds"] / r["steps"] for r in records[1:] if r["steps"]]
    return round(statistics.median(later), 3) if later else None
