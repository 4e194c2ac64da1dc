"""The bound of a run: as it was recorded, or of the one point that a checkpoint still holds."""

import shlex
from pathlib import Path
from typing import Any

from keras_ccsam.callbacks.bound_tracker import FORMAT, BoundTracker
from keras_ccsam.runs.folders import require_writable
from keras_ccsam.runs.run_directory import read_json, write_json
from keras_ccsam.runs.run_sharpness import run_facts
from keras_ccsam.runs.trained_run import TrainedRun


def recorded_bound(run_directory: Any) -> dict[str, Any] | None:
    """Return what a `BoundTracker` recorded while the run trained; None if nothing did.

    Raises:
        ValueError: the file is broken, or is something else.
    """
    file = run_directory.analysis / "bound.json"
    if not file.is_file():
        return None
    content = read_json(file)
    known = content.get("kind") == "bound" and content.get("format") == FORMAT
    if not known or not content.get("epochs"):
        raise ValueError(
            "the file is no record of the bound; move it away, and the end of stage 1 is evaluated "
            f"anew. Received: path={str(file)!r}"
        )
    return content


def classes_of(run_directory: Any) -> tuple[list[str], list[int]]:
    """Return the names of a finished run's classes, and their training images.

    Raises:
        ValueError: the run did not finish, or its results do not say.
    """
    results = run_directory.results()
    return results["class_names"], results["class_counts"]


def bound_at_checkpoint(
    run: TrainedRun, classes: list[int], weights: str, delta: float
) -> dict[str, Any]:
    """Evaluate the bound at the end of stage 1; write analysis/bound-checkpoint.json.

    Args:
        run: from `open_run`.
        classes: which ones.
        weights: w: `"head"`, `"all"` or a pattern.
        delta: the probability with which the bound may fail.

    Raises:
        ValueError: an option outside its range, the run's weights of stage 1 cannot be read, or
            nothing may be written into the run's folder.
    """
    require_writable(run.directory.analysis, "copy the run to another place")
    recipe, images = run.recipe, run.images
    model = run.stage1_model()
    tracker = BoundTracker(
        images.class_counts,
        images.split_arrays("train"),
        None if images.x_test is None else images.split_arrays("test"),
        classes=classes,
        weights=weights,
        delta=delta,
        class_names=images.class_names,
    )
    tracker.set_model(model)
    tracker.on_train_begin()
    tracker.on_epoch_end(recipe.stage1.epochs - 1)
    content = tracker.content() | {
        "run": run_facts(run) | {"weights_of": "checkpoints/stage1.weights.h5"},
        "note": "The run recorded no bound while it trained: this is the end of stage 1 alone. "
        f"To record the epochs: {recording_command(run)}",
    }
    run.directory.analysis.mkdir(exist_ok=True)
    write_json(run.directory.analysis / "bound-checkpoint.json", content)
    return content


def recording_command(run: TrainedRun) -> str:
    """Return the command that trains the same run and records its epochs."""
    recipe = str(run.directory.recipe_file)
    out = str(run.directory.path.with_name(f"{run.directory.path.name}-recorded"))
    return f"ccsam train {shlex.quote(recipe)} --record bound --out {shlex.quote(out)}"


def last_values(content: dict[str, Any], label: int) -> dict[str, float | None]:
    """Return each column's value of a class after the last recorded epoch."""
    place = content["classes"].index(label)
    return {name: rows[-1][place] for name, rows in content["values"].items()}


def picture_of(run_directory: Any, content: dict[str, Any], label: int, recorded: bool) -> Path:
    """Draw a class's bound into the run's folder `analysis`; return the picture's path."""
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    # The tracker draws its first class itself, under the plain name.
    first = recorded and content["classes"][0] == label
    name = "bound" if first else f"bound-class{label}"
    return plots.bound(content, run_directory.analysis / f"{name}.png", label)
