"""From a recipe to a run directory, one function per step."""

import dataclasses
import os
import statistics
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import keras

from keras_ccsam import atomic
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.callbacks.metrics_log import MetricsLog
from keras_ccsam.data import BatchSequence, LongTailedData, load_indices
from keras_ccsam.data.batches.sequence import Split
from keras_ccsam.metrics import Report
from keras_ccsam.metrics.evaluation import evaluate
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema_stages import Stage2
from keras_ccsam.runs import environment, own_code, parts
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.folders import PathLike, fresh, named
from keras_ccsam.runs.m2m_helper import check_helper, trained_helper
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.stage_callbacks import apply_posthoc, stage1_callbacks, stage2_callbacks
from keras_ccsam.training import SharpnessAwareModel


@dataclasses.dataclass(frozen=True)
class RunResult:
    """What a run leaves behind.

    Attributes:
        path: the run directory.
        recipe: what was run.
        report: on the test set, after the last epoch of the last stage.
        stage1_report: on the test set, after stage 1; `report` itself where nothing follows.
        validation_report: after the last epoch, on the split cut from the training set, if any.
        results: the content of results.json.
    """

    path: Path
    recipe: Recipe
    report: Report
    stage1_report: Report
    validation_report: Report | None
    results: dict[str, Any]


def run(
    recipe: Recipe,
    out: PathLike | None = None,
    *,
    progress: str | Progress = "auto",
    stage1_from: PathLike | None = None,
    compile_cache: PathLike = "auto",
) -> RunResult:
    """Train a recipe, evaluate its last epoch and write a run directory.

    Args:
        recipe: from `recipes.load`.
        out: an absent or empty folder; `runs/<recipe>-<data>-<time>` by default.
        progress: `"bar"`, `"line"` (one per epoch), `"none"`, or `"auto"`: a bar on a terminal.
        stage1_from: a run whose first stage is the same (`Recipe.stage1_digest`): its weights are
            taken in place of training anew, with the same result.
        compile_cache: a folder in which JAX keeps compiled programs for the next run; `"off"`
            leaves JAX as it is; `"auto"` is the folder that JAX has been given already, else
            `.jax-cache` beside the run directory.

    Raises:
        ValueError: `out` is not free, the data cannot be had, or `stage1_from` differs. Nothing
            has been written then.
    """
    shown = Progress.of(progress)
    name = f"{recipe.name}-{recipe.setting}"
    directory = RunDirectory(fresh(name) if out is None else named(out))
    directory.check_free()
    source = None if stage1_from is None else _same_stage1(RunDirectory(stage1_from), recipe)
    images = parts.load_data(recipe.data)
    check_helper(recipe, images.index_sha256)
    batches = parts.train_batches(recipe, images)
    keras.utils.set_random_seed(recipe.seed)
    model = parts.build_model(recipe, images, len(batches))
    if recipe.stage2 is not None:
        second = parts.retraining(recipe, recipe.stage2, batches)
        second.check(model)
        second.check_data(batches)
    code = own_code.describe(recipe)
    directory.create(recipe, environment.describe() | ({"code": code} if code else {}))
    shown.note(images.outline.ratio_note)
    caching = kept_programs(compile_cache, directory.path, announce=shown.shown)
    with shown, directory.recording(), caching:
        images.save_indices(directory.indices_file)
        if recipe.stage1.translate is not None and source is None:
            training = partial(run, progress=shown.labelled("helper"), compile_cache="off")
            helper = trained_helper(recipe, directory, training)
            keras.utils.set_random_seed(recipe.seed)
            model = parts.build_model(recipe, images, len(batches), helper)
        seeds = _seed_states(model)
        if source is None:
            _fit_stage1(recipe, images, batches, model, directory, shown)
        else:
            stage = f"stage 1/{_stages(recipe)}"
            shown.say(f"{stage}  shared with {source.path}: taken over, not trained again")
            _copy_stage1(source, model, directory)
        reports = {"stage1": _evaluate(recipe, images, model, "test")}
        tau = None
        if recipe.stage2 is not None:
            # Stage 2 finds the same random state whether stage 1 was trained here or taken over.
            keras.utils.set_random_seed(recipe.seed)
            for variable, state in seeds:
                variable.assign(state)
            _fit_stage2(recipe, recipe.stage2, batches, model, directory, shown)
            reports["test"] = _evaluate(recipe, images, model, "test")
        elif recipe.posthoc is not None:
            tau = apply_posthoc(recipe, images, model)
            reports["test"] = _evaluate(recipe, images, model, "test")
        else:
            reports["test"] = reports["stage1"]
        if images.x_validation is not None:
            reports["validation"] = _evaluate(recipe, images, model, "validation")
        with atomic.replacing(directory.model_file) as temporary:
            model.export_plain().save(temporary)
        results = _results(recipe, images, model, directory, reports, source)
        results |= {} if tau is None else {"posthoc_tau": tau}
        directory.write_results(results)
        _plot(directory, images, reports["test"])
    validation = reports.get("validation")
    return RunResult(
        directory.path, recipe, reports["test"], reports["stage1"], validation, results
    )


def evaluate_run(run_dir: PathLike, split: Split = "test", *, trust_code: bool = False) -> Report:
    """Evaluate a finished run's `model.keras` on its own data.

    Args:
        run_dir: a run directory.
        split: `"test"`, `"validation"` if the recipe cuts one, or `"train"`.
        trust_code: import what the run's recipe names from outside the package, and so run it.
            Only a dataset or a layer from outside needs it, no method and no loss.

    Raises:
        ValueError: the folder is no finished run, the data is no longer what it was trained on, or
            code from outside is needed and not trusted.
    """
    directory = RunDirectory(run_dir)
    directory.results()
    recipe = directory.recipe(trust_code=trust_code)
    images = parts.load_data(recipe.data)
    if images.index_sha256 != load_indices(directory.indices_file).index_sha256:
        raise ValueError(
            "the data gives other training images than the run was trained on: its source has "
            f"changed. Received: index_sha256={images.index_sha256!r}"
        )
    return _evaluate(recipe, images, directory.model(), split)


def _fit_stage1(
    recipe: Recipe,
    images: LongTailedData,
    batches: BatchSequence,
    model: SharpnessAwareModel,
    directory: RunDirectory,
    shown: Progress,
) -> None:
    validation = None
    if images.x_validation is not None:
        validation = images.batches("validation", batch_size=recipe.stage1.batch_size)
    model.fit(
        batches,
        epochs=recipe.stage1.epochs,
        validation_data=validation,
        callbacks=[
            *stage1_callbacks(recipe, images, batches),
            MetricsLog(directory.path, stage=1),
            *shown.callbacks(1, _stages(recipe)),
        ],
        verbose=0,
    )
    with atomic.replacing(directory.stage1_file) as temporary:
        model.save_weights(temporary)


def _copy_stage1(source: RunDirectory, model: SharpnessAwareModel, directory: RunDirectory) -> None:
    """Take over the weights and the records, so that the new folder is complete by itself."""
    with atomic.replacing(directory.stage1_file) as temporary:
        temporary.write_bytes(source.stage1_file.read_bytes())
    model.optimizer.build(model.trainable_variables)
    model.load_weights(directory.stage1_file)
    metrics_log.append(directory.metrics_file, *source.metrics(stage=1))


def _fit_stage2(
    recipe: Recipe,
    stage: Stage2,
    batches: BatchSequence,
    model: SharpnessAwareModel,
    directory: RunDirectory,
    shown: Progress,
) -> None:
    parts.retraining(recipe, stage, batches).run(
        model,
        batches,
        callbacks=[
            *stage2_callbacks(stage, batches),
            MetricsLog(directory.path, stage=2),
            *shown.callbacks(2, _stages(recipe)),
        ],
        verbose=0,
    )


def _stages(recipe: Recipe) -> int:
    return 1 if recipe.stage2 is None else 2


def _evaluate(recipe: Recipe, images: LongTailedData, model: Any, split: Split) -> Report:
    return evaluate(
        model,
        images.split_arrays(split),
        images.class_counts,
        from_logits=True,
        **parts.group_options(recipe.groups),
    )


def _same_stage1(source: RunDirectory, recipe: Recipe) -> RunDirectory:
    if source.recipe().stage1_digest() != recipe.stage1_digest():
        raise ValueError(
            "the other run's first stage differs in data, model, stage1 or seed; train without "
            f"it. Received: stage1_from={str(source.path)!r}"
        )
    if source.status() != "complete":
        raise ValueError(
            f"the other run is {source.status()}, not complete. "
            f"Received: stage1_from={str(source.path)!r}"
        )
    return source


def _seed_states(model: keras.Model) -> list[tuple[Any, Any]]:
    return [
        (variable, keras.ops.convert_to_numpy(variable))
        for variable in model.variables
        if variable.path.endswith("seed_generator_state")
    ]


def _results(
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
        "parameters": parts.count_parameters(model),
        "epochs": {f"stage{n}": sum(r["stage"] == n for r in records) for n in (1, 2)},
        "seconds": {
            f"stage{n}": round(sum(r["seconds"] for r in records if r["stage"] == n), 3)
            for n in (1, 2)
        },
        "ms_per_step": milliseconds_per_step(directory.metrics(stage=1)),
        **{split: report.to_dict() for split, report in reports.items()},
    }


def milliseconds_per_step(records: list[metrics_log.Record]) -> float | None:
    """Return the median over the epochs after the first, which also compiles; None without any."""
    later = [1000 * r["seconds"] / r["steps"] for r in records[1:] if r["steps"]]
    return round(statistics.median(later), 3) if later else None


def _plot(directory: RunDirectory, images: LongTailedData, report: Report) -> None:
    """Draw what there is; a picture that fails must not cost the run."""
    from keras_ccsam.analysis import plots  # matplotlib takes a second to import

    records = [record | {"epoch": i} for i, record in enumerate(directory.metrics())]
    names, folder = images.class_names, directory.plots
    try:
        plots.curves(records, folder / "curves.png")
        plots.per_class(
            report.per_class,
            images.class_counts,
            folder / "per_class.png",
            names,
            report.group_classes,
        )
        plots.confusion(report.confusion, folder / "confusion.png", names)
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plots could not be drawn: {error}", stacklevel=3)
