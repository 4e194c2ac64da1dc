"""From a recipe to a run directory, one function per step."""

import dataclasses
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam.callbacks import metrics_log
from keras_ccsam.callbacks.metrics_log import MetricsLog
from keras_ccsam.data import BatchSequence, LongTailedData
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.data.batches.reading import predicted
from keras_ccsam.metrics import Report
from keras_ccsam.metrics.temperature import fit_temperature
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema_stages import Stage2
from keras_ccsam.runs import environment, frozen, own_code, parts
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.folders import PathLike, fresh, kind_of, named
from keras_ccsam.runs.image_files import look_at_files
from keras_ccsam.runs.m2m_helper import check_helper, trained_helper
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.recorders import check_for, copy_records, recorders
from keras_ccsam.runs.results import collected
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.stage_callbacks import apply_posthoc, nonfinite_steps, stage_callbacks
from keras_ccsam.runs.trained_run import judged, open_run
from keras_ccsam.trackers import Tracking
from keras_ccsam.training import SharpnessAwareModel, saving


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


def run(
    recipe: Recipe,
    out: PathLike | None = None,
    *,
    progress: str | Progress = "auto",
    stage1_from: PathLike | None = None,
    compile_cache: PathLike = "auto",
    record: Record = (),
    trackers: Sequence[str] = (),
    tested: bool = True,
    feature_cache: PathLike = "auto",
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
        record: what is recorded after each epoch of stage 1, in the run's folder `analysis`: names
            of `recorders.RECORDERS`, or their options, as in `{"bound": {"delta": 0.01}}`. It
            changes no number of the run.
        trackers: `"tensorboard"`, `"wandb"`, `"mlflow"`, `"trackio"`: told of each epoch and of the
            results. They change no number, and one that fails costs the run nothing.
        tested: False leaves the test images unseen: results.json has no `test`, and `stage1` is of
            the validation split, which the recipe must cut. For whoever still chooses among runs.
        feature_cache: a folder in which features of a frozen backbone are kept for other runs;
            `"off"` keeps none; `"auto"` is `.feature-cache` beside the run directory or beside
            the comparison that it is of. They are computed once where no image is augmented.

    Raises:
        ValueError: `out` is not free, the data cannot be had or a file of it is broken,
            `stage1_from` differs, `record` names something unknown or has an option that does not
            fit, a tracker is not installed, or nothing is left to judge the run by. Nothing has
            been written then.
        FloatingPointError: the training left the finite numbers; see `callbacks.OnNonfinite` and
            the recipe's `on_nonfinite`.
    """
    shown = Progress.of(progress)
    record = check_record(record)
    name = f"{recipe.name}-{recipe.setting}"
    directory = RunDirectory(fresh(name) if out is None else named(out))
    directory.check_free()
    cache = frozen.cache_folder(feature_cache, directory.path)
    tracking = _tracking(trackers, recipe, directory)
    source = None if stage1_from is None else _same_stage1(RunDirectory(stage1_from), recipe)
    images = parts.load_data(recipe.data)
    judge: Split = "test" if tested else "validation"
    images.split_arrays(judge)  # there is such a part
    look_at_files(images, shown, tested)
    check_helper(recipe, images.index_sha256)
    batches = parts.train_batches(recipe, images)
    callbacks = stage_callbacks(recipe, images, batches)
    keras.utils.set_random_seed(recipe.seed)
    model = parts.build_model(recipe, images, len(batches))
    check_for(record, images, model)
    if recipe.stage2 is not None:
        second = parts.retraining(recipe, recipe.stage2, batches)
        second.check(model)
        second.check_data(batches)
    code = own_code.describe(recipe)
    directory.create(recipe, environment.describe() | ({"code": code} if code else {}))
    for note in (images.outline.ratio_note, *images.notes):
        shown.note(note)
    caching = kept_programs(compile_cache, directory.path, announce=shown.shown)
    with shown, directory.recording(), caching, tracking:
        images.save_indices(directory.indices_file)
        directory.manifest.note(directory.indices_file)
        if recipe.stage1.translate is not None and source is None:
            training = partial(run, progress=shown.labelled("helper"), compile_cache="off")
            helper = trained_helper(recipe, directory, training)
            keras.utils.set_random_seed(recipe.seed)
            model = parts.build_model(recipe, images, len(batches), helper)
        whole, every_image = model, images
        if frozen.is_frozen(recipe):
            # Features of the test images are none of a run's that is not to see them.
            seen = images if tested else dataclasses.replace(images, x_test=None, y_test=None)
            found = frozen.on_features(recipe, seen, model, batches, list(record), cache)
            shown.say(found.said)
            if found.model is not model:
                images, model = found.images, found.model
                batches = parts.train_batches(recipe, images)
                callbacks = stage_callbacks(recipe, images, batches)
        seeds = _seed_states(model)
        told = partial(_told, recipe, directory, shown, tracking)
        if source is None:
            # Recorders last: the time that they take is not the epoch's.
            recording = recorders(record, images, directory)
            first = [*callbacks[0], *told(1), *recording]
            _fit_stage1(recipe, images, batches, model, first)
            frozen.hand_over(model, whole)
            with directory.writing(directory.stage1_file) as temporary:
                saving.save_weights(whole, temporary)
        else:
            stage = f"stage 1/{_stages(recipe)}"
            shown.say(f"{stage}  shared with {source.path}: taken over, not trained again")
            _copy_stage1(source, whole, directory)
            if missing := copy_records(record, source, directory):
                shown.say(f"{stage}  {', '.join(missing)}: not recorded there, so not here")
            for epoch in directory.metrics(stage=1):
                tracking.epoch(epoch)
        reports = {"stage1": judged(recipe, images, model, judge)}
        tau = None
        if recipe.stage2 is not None:
            # Stage 2 finds the same random state whether stage 1 was trained here or taken over.
            keras.utils.set_random_seed(recipe.seed)
            for variable, state in seeds:
                variable.assign(state)
            _fit_stage2(recipe, recipe.stage2, batches, model, [*callbacks[1], *told(2)])
            reports[judge] = judged(recipe, images, model, judge)
        elif recipe.posthoc is not None:
            tau = apply_posthoc(recipe, images, model)
            reports[judge] = judged(recipe, images, model, judge)
        else:
            reports[judge] = reports["stage1"]
        if tested and images.x_validation is not None:
            reports["validation"] = judged(recipe, images, model, "validation")
        if (held := reports.get("validation")) is not None:
            directory.write_validation(held.predicted)
        frozen.hand_over(model, whole)
        with directory.writing(directory.model_file) as temporary:
            saving.save_model(whole.export_plain(), temporary)
        results = collected(recipe, every_image, whole, directory, reports, source)
        results |= {} if tau is None else {"posthoc_tau": tau}
        results |= _temperature(images, model) | nonfinite_steps(*callbacks)
        directory.write_results(results)
        tracking.results(results)
        _plot(directory, images, reports[judge])
    validation = reports.get("validation")
    return RunResult(directory.path, recipe, reports[judge], reports["stage1"], validation, results)


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
    found = open_run(run_dir, trust_code=trust_code)
    return found.evaluate(found.model(), split)


def _fit_stage1(
    recipe: Recipe,
    images: LongTailedData,
    batches: BatchSequence,
    model: SharpnessAwareModel,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    validation = None
    if images.x_validation is not None:
        validation = images.batches("validation", batch_size=recipe.stage1.batch_size)
    model.fit(
        batches,
        epochs=recipe.stage1.epochs,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    )


def _temperature(images: LongTailedData, model: SharpnessAwareModel) -> dict[str, Any]:
    """The one that calibrates the network, where images were held out to fit it on."""
    if images.x_validation is None:
        return {}
    logits = predicted(model, images.x_validation, 500)
    fitted = fit_temperature(np.asarray(logits) * model.logit_scale, images.y_validation)
    return {"temperature": fitted.to_dict()}


def _tracking(names: Sequence[str], recipe: Recipe, directory: RunDirectory) -> Tracking:
    around = directory.path.absolute().parent
    group = around.name if kind_of(around) == "comparison" else ""
    return Tracking(names, directory.path, recipe.to_dict(), recipe.digest(), group)


def _copy_stage1(source: RunDirectory, model: SharpnessAwareModel, directory: RunDirectory) -> None:
    """Take over the weights and the records, so that the new folder is complete by itself."""
    with directory.writing(directory.stage1_file) as temporary:
        temporary.write_bytes(source.stage1_weights().read_bytes())
    model.optimizer.build(model.trainable_variables)
    model.load_weights(directory.stage1_file)
    metrics_log.append(directory.metrics_file, *source.metrics(stage=1))


def _fit_stage2(
    recipe: Recipe,
    stage: Stage2,
    batches: BatchSequence,
    model: SharpnessAwareModel,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    second = parts.retraining(recipe, stage, batches)
    second.run(model, batches, callbacks=callbacks, verbose=0)


def _told(
    recipe: Recipe, directory: RunDirectory, shown: Progress, tracking: Tracking, stage: int
) -> list[keras.callbacks.Callback]:
    """Return what writes down, tells of and shows the epochs of a stage."""
    log = MetricsLog(directory.path, stage=stage, tell=tracking.epoch)
    return [log, *shown.callbacks(stage, _stages(recipe))]


def _stages(recipe: Recipe) -> int:
    return 1 if recipe.stage2 is None else 2


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
        if len(names) <= 1000:  # more cells than a picture has pixels
            plots.confusion(report.confusion, folder / "confusion.png", names)
    except (OSError, RuntimeError, ValueError) as error:
        warnings.warn(f"the plots could not be drawn: {error}", stacklevel=3)
