"""The work of a run: data, model, both stages, evaluation and what is written of them."""

import dataclasses
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_ccsam import processes
from keras_ccsam.callbacks import metrics_log
from keras_ccsam.callbacks.metrics_log import MetricsLog
from keras_ccsam.data import BatchSequence, LongTailedData
from keras_ccsam.data.batches.batch_options import DataOn
from keras_ccsam.data.batches.labelled_parts import Split
from keras_ccsam.data.batches.resident import are_several
from keras_ccsam.metrics import Report
from keras_ccsam.metrics.evaluation import outputs_of
from keras_ccsam.metrics.temperature import fit_temperature
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema_stages import Stage2
from keras_ccsam.runs import environment, frozen, own_code, parts, pictures
from keras_ccsam.runs.asked import Asked, reopen
from keras_ccsam.runs.checks import check_stages
from keras_ccsam.runs.compiled_programs import kept_programs
from keras_ccsam.runs.first_stage import copy_stage1, has_stage1, load_stage1, seed_states
from keras_ccsam.runs.folders import PathLike, kind_of
from keras_ccsam.runs.image_files import look_at_files
from keras_ccsam.runs.m2m_helper import check_helper, trained_helper
from keras_ccsam.runs.progress import Progress
from keras_ccsam.runs.recorders import copy_records, recorders
from keras_ccsam.runs.results import collected
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.run_result import RunResult
from keras_ccsam.runs.settling import short_note
from keras_ccsam.runs.stage_callbacks import apply_posthoc, nonfinite_steps, stage_callbacks
from keras_ccsam.runs.stage_states import StageStates
from keras_ccsam.runs.trained_run import check_same_images, reported
from keras_ccsam.runs.workplace import origin
from keras_ccsam.trackers import Tracking
from keras_ccsam.training import SharpnessAwareModel, saving


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
    work = _Work(recipe, directory, asked, shown)
    cache = frozen.cache_folder(feature_cache, origin(directory.path))
    tracking = _tracking(asked.trackers if processes.writes() else (), recipe, directory)
    with processes.agreed():
        work.prepare(begun)
    code = own_code.describe(recipe)
    facts = {"asked": work.asked.to_dict(directory.path)} | ({"code": code} if code else {})
    with processes.agreed():
        if begun:
            reopen(directory)
        else:
            directory.create(recipe, environment.describe() | facts)
    short = short_note(work.model, recipe.stage1.epochs * len(work.batches))
    for note in (work.images.outline.ratio_note, *work.images.notes, short):
        shown.note(note)
    states = StageStates(directory, recipe, work.images.index_sha256, save_every)
    caching = kept_programs(compile_cache, origin(directory.path), announce=shown.shown)
    with shown, directory.recording(), caching, tracking:
        work.images.save_indices(directory.indices_file)
        directory.manifest.note(directory.indices_file)
        first_is_there = has_stage1(directory)
        if recipe.stage1.translate is not None and not (asked.source or first_is_there):
            options: Any = {"progress": shown.labelled("helper"), "save_every": save_every}
            options |= {"compile_cache": "off", "validate_every": asked.validate_every}
            work.take_helper(partial(begin_helper, **options))
        processes.check_stop()
        if frozen.is_frozen(recipe):
            work.take_features(cache)
            processes.check_stop()
        seeds = seed_states(work.model)
        work.first_stage(first_is_there, states, tracking)
        processes.check_stop()
        work.report("stage1")
        processes.check_stop()
        found = work.second_stage(seeds, states, tracking)
        processes.check_stop()
        results = work.hand_over(found)
        tracking.results(results)
        pictures.draw(directory, work.images, work.reports[work.judge])
    states.clear()
    reports = work.reports
    validation = reports.get("validation")
    last, first = reports[work.judge], reports["stage1"]
    return RunResult(origin(directory.path), recipe, last, first, validation, results)


class _Work:
    """A run while it is done: what one step of it hands on to the next.

    Attributes:
        judge: the part that it is judged by.
        images, model, batches, callbacks: what the stages train with. On a frozen backbone these
            are its features and the head alone, and `every_image` and `whole` are the whole.
        reports: by stage and part.
        held_out: the logits of the validation images, when they were last looked at.
    """

    def __init__(
        self, recipe: Recipe, directory: RunDirectory, asked: Asked, shown: Progress
    ) -> None:
        self.recipe, self.directory, self.asked, self.shown = recipe, directory, asked, shown
        self.judge: Split = "test" if asked.tested else "validation"
        self.reports: dict[str, Report] = {}
        self.held_out: np.ndarray | None = None

    def prepare(self, begun: bool) -> None:
        """Load the data and build the model; nothing is written."""
        recipe = self.recipe
        self.images = self.every_image = images = parts.load_data(recipe.data)
        images.split_arrays(self.judge)  # there is such a part
        look_at_files(images, self.shown, self.asked.tested)
        if begun and self.directory.indices_file.is_file():
            check_same_images(images, self.directory.indices())
        check_helper(recipe, images.index_sha256)
        if begun and are_several():  # it may have been begun on one device
            self.asked = dataclasses.replace(self.asked, data_on="host")
        self._batch()
        on: DataOn = "host" if self.batches.resident is None else "device"
        self.asked = dataclasses.replace(self.asked, data_on=on)
        self._build()
        record = self.asked.record
        check_stages(recipe, images, self.model, self.batches, self.callbacks, record)

    def _batch(self) -> None:
        self.batches = parts.train_batches(self.recipe, self.images, self.asked.data_on)
        self.callbacks = stage_callbacks(self.recipe, self.images, self.batches)

    def _build(self, helper: keras.Model | None = None) -> None:
        keras.utils.set_random_seed(self.recipe.seed)
        built = parts.build_model(self.recipe, self.images, len(self.batches), helper)
        self.model = self.whole = built

    def take_helper(self, training: Callable[..., Any]) -> None:
        """Train M2m's helper, or take the one that is there, and build the model with it."""
        self._build(trained_helper(self.recipe, self.directory, training))

    def take_features(self, cache: Path | None) -> None:
        """Train on a frozen backbone's features from now on, where that gives the same."""
        seen = self.images
        if not self.asked.tested:  # features of the test images are none of this run's
            seen = dataclasses.replace(seen, x_test=None, y_test=None)
        record = list(self.asked.record)
        found = frozen.on_features(self.recipe, seen, self.model, self.batches, record, cache)
        self.shown.say(found.said)
        if found.model is not self.model:
            self.images, self.model = found.images, found.model
            self._batch()

    def first_stage(self, is_there: bool, states: StageStates, tracking: Tracking) -> None:
        """Train it, or take it over: from before this run was interrupted, or from another run."""
        record, source, directory = self.asked.record, self.asked.source, self.directory
        stage = f"stage 1/{_stages(self.recipe)}"
        if is_there:
            self.shown.say(f"{stage}  was finished: taken over, not trained again")
            load_stage1(self.whole, directory)
            metrics_log.keep(directory.metrics_file, lambda record: record["stage"] == 1)
            _tell_again(tracking, directory)
        elif source is None:
            state = states.of(1, self.shown)
            # Recorders last: the time that they take is not the epoch's.
            last = [*recorders(record, self.images, directory), state]
            first = [*self.callbacks[0], *self._told(1, tracking), *last]
            every = self.asked.validate_every
            _fit_stage1(self.recipe, self.images, self.batches, self.model, first, every)
            frozen.hand_over(self.model, self.whole)
            with directory.writing(directory.stage1_file) as temporary:
                saving.save_weights(self.whole, temporary)
            state.clear()
        else:
            self.shown.say(f"{stage}  shared with {source.path}: taken over, not trained again")
            copy_stage1(source, self.whole, directory)
            if missing := copy_records(record, source, directory):
                self.shown.say(f"{stage}  {', '.join(missing)}: not recorded there, so not here")
            _tell_again(tracking, directory)

    def second_stage(
        self, seeds: list[tuple[Any, Any]], states: StageStates, tracking: Tracking
    ) -> dict[str, Any]:
        """Train the classifier again, or change it, as the recipe says; return what was found."""
        tau = None
        if (stage := self.recipe.stage2) is not None:
            # It finds the same random state whether stage 1 was trained here or taken over.
            keras.utils.set_random_seed(self.recipe.seed)
            for variable, value in seeds:
                variable.assign(value)
            callbacks = [*self.callbacks[1], *self._told(2, tracking), states.of(2, self.shown)]
            _fit_stage2(self.recipe, stage, self.batches, self.model, callbacks)
            self.report(self.judge)
        elif self.recipe.posthoc is not None:
            tau = apply_posthoc(self.recipe, self.images, self.model)
            self.report(self.judge)
        else:
            self.reports[self.judge] = self.reports["stage1"]
        return {} if tau is None else {"posthoc_tau": tau}

    def report(self, name: str) -> None:
        """Judge the model as it is now."""
        split: Split = "validation" if name == "validation" else self.judge
        logits = outputs_of(self.model, self.images.split_arrays(split)[0])
        self.reports[name] = reported(self.recipe, self.images, logits, split)
        if split == "validation":
            self.held_out = logits

    def hand_over(self, found: dict[str, Any]) -> dict[str, Any]:
        """Write the network and the results; return these."""
        directory = self.directory
        if self.asked.tested and self.images.x_validation is not None:
            self.report("validation")
        if (held := self.reports.get("validation")) is not None:
            directory.write_validation(held.predicted)
        frozen.hand_over(self.model, self.whole)
        with directory.writing(directory.model_file) as temporary:
            saving.save_model(self.whole.export_plain(), temporary)
        source, reports = self.asked.source, self.reports
        results = collected(self.recipe, self.every_image, self.whole, directory, reports, source)
        results |= found | _temperature(self.images, self.held_out)
        results |= nonfinite_steps(*self.callbacks)
        directory.write_results(results)
        return results

    def _told(self, stage: int, tracking: Tracking) -> list[keras.callbacks.Callback]:
        """What writes down, tells of and shows the epochs of a stage."""
        log = MetricsLog(self.directory.path, stage=stage, tell=tracking.epoch)
        return [log, *self.shown.callbacks(stage, _stages(self.recipe))]


def _tell_again(tracking: Tracking, directory: RunDirectory) -> None:
    for epoch in directory.metrics(stage=1):
        tracking.epoch(epoch)


def _fit_stage1(
    recipe: Recipe,
    images: LongTailedData,
    batches: BatchSequence,
    model: SharpnessAwareModel,
    callbacks: list[keras.callbacks.Callback],
    validate_every: int,
) -> None:
    validation = None
    if validate_every and images.x_validation is not None:
        validation = images.batches("validation", batch_size=recipe.stage1.batch_size)
    model.fit(
        batches,
        epochs=recipe.stage1.epochs,
        validation_data=validation,
        validation_freq=max(1, validate_every),
        callbacks=callbacks,
        verbose=0,
    )


def _temperature(images: LongTailedData, logits: np.ndarray | None) -> dict[str, Any]:
    """The one that calibrates the network, where images were held out to fit it on."""
    if logits is None:
        return {}
    return {"temperature": fit_temperature(logits, images.y_validation).to_dict()}


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


def _stages(recipe: Recipe) -> int:
    return 1 if recipe.stage2 is None else 2
