"""What a run leaves behind, in Python."""

import dataclasses
from pathlib import Path
from typing import Any

from keras_ccsam.metrics import Report
from keras_ccsam.recipes import Recipe


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a run leaves behind.

    Attributes:
        path: the run directory.
        recipe: what was run.
        report: on the test set, after the last epoch of the last stage; of a run with
            `tested=False` on the validation split.
        stage1_report: on the same images, after stage 1; `report` itself where nothing follows.
        validation_report: after the last epoch, on the split cut from the training set, if any.
        results: the content of results.json.
    """

    path: Path
    recipe: Recipe
    report: Report
    stage1_report: Report
    validation_report: Report | None
    results: dict[str, Any]
