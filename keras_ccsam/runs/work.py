"""The work of a run: data, model, both stages, evaluation and what is written of them."""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam import stopping
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
from keras_ccsam.runs.asked import Asked, reopen
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.first_stage import copy_stage1, has_stage1, load_stage1, seed_states
from keras_ccsam.runs.folders import PathLike, kind_of
from keras_ccsam.runs.image_files import look_at_files
from keras_ccsam.runs.m2m_helper import check_helper, trained_helper
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.recorders import check_for, copy_records, recorders
from keras_ccsam.runs.results import collected
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.stage_callbacks import apply_posthoc, nonfinite_steps, stage_callbacks
from keras_ccsam.runs.stage_states import StageStates
from keras_ccsam.runs.trained_run import check_same_images, judged
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


def carried_out(
    recipe: Recipe,
    directory: RunDirectory,
    asked: Asked,
    shown: Progress,
    compile_cache: PathLike,
    feature_cache: PathLike,
    save_every: str | int,
    begin_helper: Callable[..., Any],
    *,
    begun: bool = False,
) -> RunResult:
    """Do what is left of a run: all of it, or where it was `begun`, what is not there yet.

    Args:
        recipe: of the run.
        directory: of the run; free, or of one that was begun.
        asked: what else it was asked for.
        shown: how.
        compile_cache, feature_cache, save_every: as in `experiment.run`.
        begin_helper: trains a recipe into a folder, or goes on with it there.
        begun: whether the run was begun before.

    Raises:
        ValueError: the data cannot be had or is another, a model cannot be built, or what is asked
            for does not fit. Nothing has been written then.
    """
    record, source, tested = asked.record, asked.source, asked.tested
    cache = frozen.cache_folder(feature_cache, directory.path)
    tracking = _tracking(asked.trackers, recipe, directory)
    images = parts.load_data(recipe.data)
    judge: Split = "test" if tested else "validation"
    images.split_arrays(judge)  # there is such a part
    look_at_files(images, shown, tested)
    if begun and directory.indices_file.is_file():
        check_same_images(images, directory.indices())
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
    facts = {"asked": asked.to_dict(directory.path)} | ({"code": code} if code else {})
    if begun:
        reopen(directory)
    else:
        directory.create(recipe, environment.describe() | facts)
    for note in (images.outline.ratio_note, *images.notes):
        shown.note(note)
    states = StageStates(directory, recipe, images.index_sha256, save_every)
    caching = kept_programs(compile_cache, directory.path, announce=shown.shown)
    with shown, directory.recording(), caching, tracking:
        images.save_indices(directory.indices_file)
        directory.manifest.note(directory.indices_file)
        first_is_there = has_stage1(directory)
        if recipe.stage1.translate is not None and not (source or first_is_there):
            options: Any = {"progress": shown.labelled("helper"), "save_every": save_every}
            options |= {"compile_cache": "off"}
            helper = trained_helper(recipe, directory, partial(begin_helper, **options))
            keras.utils.set_random_seed(recipe.seed)
            model = parts.build_model(recipe, images, len(batches), helper)
        stopping.check()
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
            stopping.check()
        seeds = seed_states(model)
        told = partial(_told, recipe, directory, shown, tracking)
        stage = f"stage 1/{_stages(recipe)}"
        if first_is_there:
            shown.say(f"{stage}  was finished: taken over, not trained again")
            load_stage1(whole, directory)
            metrics_log.keep(directory.metrics_file, lambda record: record["stage"] == 1)
            _tell_again(tracking, directory)
        elif source is None:
            state = states.of(1, shown)
            # Recorders last: the time that they take is not the epoch's.
            recording = recorders(record, images, directory)
            first = [*callbacks[0], *told(1), *recording, state]
            _fit_stage1(recipe, images, batches, model, first)
            frozen.hand_over(model, whole)
            with directory.writing(directory.stage1_file) as temporary:
                saving.save_weights(whole, temporary)
            state.clear()
        else:
            shown.say(f"{stage}  shared with {source.path}: taken over, not trained again")
            copy_stage1(source, whole, directory)
            if missing := copy_records(record, source, directory):
                shown.say(f"{stage}  {', '.join(missing)}: not recorded there, so not here")
            _tell_again(tracking, directory)
        stopping.check()
        reports = {"stage1": judged(recipe, images, model, judge)}
        stopping.check()
        tau = None
        if recipe.stage2 is not None:
            # Stage 2 finds the same random state whether stage 1 was trained here or taken over.
            keras.utils.set_random_seed(recipe.seed)
            for variable, value in seeds:
                variable.assign(value)
            second_stage = [*callbacks[1], *told(2), states.of(2, shown)]
            _fit_stage2(recipe, recipe.stage2, batches, model, second_stage)
            reports[judge] = judged(recipe, images, model, judge)
        elif recipe.posthoc is not None:
            tau = apply_posthoc(recipe, images, model)
            reports[judge] = judged(recipe, images, model, judge)
        else:
            reports[judge] = reports["stage1"]
        stopping.check()
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
    states.clear()
    validation = reports.get("validation")
    return RunResult(directory.path, recipe, reports[judge], reports["stage1"], validation, results)


def _tell_again(tracking: Tracking, directory: RunDirectory) -> None:
    for epoch in directory.metrics(stage=1):
        tracking.epoch(epoch)


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
