"""The sharpness of a finished run's network, written into the run's folder."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_ccsam.analysis.sharpness import Sharpness, sharpness
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.runs import parts
from keras_ccsam.runs.compiled_programs import programs_of
from keras_ccsam.runs.folders import require_writable
from keras_ccsam.runs.run_directory import write_json
from keras_ccsam.runs.trained_run import TrainedRun

_DEFAULT_SCALE = 1e-2


def trained_radius_scale(run_recipe: Any) -> float:
    """r of the run's method; 0.01, the paper's, where it has none or it is 0."""
    return float(getattr(run_recipe.stage1.method, "radius_scale", 0.0)) or _DEFAULT_SCALE


def run_sharpness(
    run: TrainedRun,
    *,
    split: Split = "train",
    radius_scale: float | None = None,
    **options: Any,
) -> Sharpness:
    """Measure a run's network after its last epoch; write analysis/sharpness.json and .png.

    An earlier measurement is replaced.

    Args:
        run: from `open_run`.
        split: which part of its data, without augmentation.
        radius_scale: r; that of the run by default, 0.01 where its method has none.
        **options: of `analysis.sharpness`.

    Raises:
        ValueError: the run has no such part, an option outside its range, or nothing may be written
            into the run's folder.
    """
    found = measured(run, split=split, radius_scale=radius_scale, **options)
    keep(run, split, found)
    return found


def measured(
    run: TrainedRun, *, split: Split, radius_scale: float | None = None, **options: Any
) -> Sharpness:
    """Measure, and write nothing yet; as `run_sharpness`."""
    require_writable(run.directory.analysis, "copy the run to another place")
    recipe, images = run.recipe, run.images
    group_options = parts.group_options(recipe.groups)
    with programs_of(run.directory.path):
        return sharpness(
            run.model(),
            images.split_arrays(split),
            images.class_counts,
            radius_scale=trained_radius_scale(recipe) if radius_scale is None else radius_scale,
            class_names=images.class_names,
            groups=group_options.pop("groups"),
            group_options=group_options,
            from_logits=True,
            **options,
        )


def keep(run: TrainedRun, split: Split, found: Sharpness) -> None:
    """Write what was measured into the run's folder `analysis`."""
    content = found.to_dict() | {"run": run_facts(run) | {"split": split}}
    folder = run.directory.analysis
    folder.mkdir(exist_ok=True)
    write_json(folder / "sharpness.json", content)
    draw_sharpness({run.recipe.name: content}, folder / "sharpness.png")


def run_facts(run: TrainedRun) -> dict[str, Any]:
    """What tells a run from others."""
    return {
        "path": str(run.directory.path),
        "recipe": run.recipe.name,
        "data": run.recipe.data.name,
        "seed": run.recipe.seed,
        "digest": run.recipe.digest(),
        "weights_of": "model.keras, after the last epoch of the last stage",
    }


def draw_sharpness(measured: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the sharpness of one or several runs; a picture that fails costs nothing else."""
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    try:
        plots.sharpness(measured, path)
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plot could not be drawn: {error}", stacklevel=2)
