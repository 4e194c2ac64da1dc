"""What a recipe would do, without training: no image is read, and no weight gets a value."""

import dataclasses
from typing import Any

import keras

from keras_ccsam import data, models
from keras_ccsam import text_table as table
from keras_ccsam.callbacks import first_epoch
from keras_ccsam.data.batches.batch_options import DataOn, check_data_on
from keras_ccsam.metrics import group_classes
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema_stages import Stage1, Stage2
from keras_ccsam.recipes.slots import name_of, part_of
from keras_ccsam.runs import parts
from keras_ccsam.runs.checks import made
from keras_ccsam.runs.learning_rates import stage1_rate
from keras_ccsam.runs.record_options import Record, check_record
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.runs.unread import known_data

# A schedule is asked for its rate in so many epochs at most.
_EPOCHS_ASKED = 1000


@dataclasses.dataclass(frozen=True)
class RunPlan:
    """A run with everything chosen and nothing trained.

    Attributes:
        recipe: what would be run.
        images: what is known of the data before it is read.
        steps: of an epoch of stage 1.
        parameters: of backbone and head.
        trained: of those, how many stage 1 trains.
        network: the backbone's own name.
        rates: the learning rates of stage 1, one per epoch; of more than 1000 epochs, 1001 of them.
    """

    recipe: Recipe
    images: data.Outline
    steps: int
    parameters: int
    trained: int
    network: str
    rates: tuple[float, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know before relying on the run."""
        told = (self.recipe.note, self.images.ratio_note, *self.images.notes)
        return tuple(text for text in told if text)

    @property
    def groups(self) -> dict[str, tuple[int, ...]]:
        """The classes by group."""
        options = parts.group_options(self.recipe.groups)
        found = group_classes(self.images.class_counts, **options)
        return {name: tuple(map(int, classes)) for name, classes in found.items()}

    def text(self) -> str:
        """Return the plan for people."""
        recipe, images, first = self.recipe, self.images, self.recipe.stage1
        validation = sum(images.validation_counts)
        # A dataset from outside can only be counted by reading it.
        counted = "; counted, not read" if recipe.data.name in data.DATASETS else ""
        lines = [
            f"recipe    {recipe.name} ({recipe.variant}): {recipe.description}",
            *([f"from      {recipe.source}"] if recipe.source else []),
            f"data      {recipe.data_shown}: {sum(images.class_counts)} images of "
            f"{'x'.join(map(str, images.image_shape))} to train on, {validation} for "
            f"validation, {sum(images.test_counts)} to test on{counted}",
            f"model     {_shown(recipe.model.backbone)}{self._fitting()} and a "
            f"{_shown(recipe.model.head)} head, {self.parameters:,} parameters, {first.precision}",
            *_trained(recipe, self.trained, self.parameters),
            f"loss      {_shown(first.loss)}",
            f"stage 1   {_shown(first.method)}: {first.epochs} epochs of {self.steps} steps of "
            f"{first.batch_size} images, learning rate {_summary(self.rates)}",
            *_late(recipe),
            f"stage 2   {_second(recipe)}",
            *(_callbacks(recipe.stage2) if recipe.stage2 else []),
            f"backend   {keras.backend.backend()}",
            f"seed      {recipe.seed}",
            f"digest    {recipe.digest()} (stage 1: {recipe.stage1_digest()})",
        ]
        lines += [f"reading   {text}" for text in recipe.readings]
        lines += [f"differs   {text}" for text in recipe.differs]
        lines += [f"note      {text}" for text in self.notes]
        lines += [f"warning   {text}" for text in recipe.warnings()]
        rows = [
            (str(label), images.class_names[label], str(images.class_counts[label]), name)
            for name, classes in self.groups.items()
            for label in classes
        ]
        header = ("class", "name", "images", "group")
        return "\n".join(lines) + "\n\n" + table.text_table(header, rows, left=("name", "group"))

    def _fitting(self) -> str:
        """Which network fits the images, where it is chosen by their size."""
        return f" ({self.network})" if name_of(self.recipe.model.backbone) == "fitting" else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON types, with every value of the recipe."""
        images = self.images
        return {
            "kind": "run plan",
            "recipe": self.recipe.to_dict(),
            "digest": self.recipe.digest(),
            "stage1_digest": self.recipe.stage1_digest(),
            "backend": keras.backend.backend(),
            "class_names": list(images.class_names),
            "class_counts": list(images.class_counts),
            "validation": sum(images.validation_counts),
            "test": sum(images.test_counts),
            "image_shape": list(images.image_shape),
            "groups": {name: list(classes) for name, classes in self.groups.items()},
            "parameters": self.parameters,
            "trained_parameters": self.trained,
            "steps_per_epoch": self.steps,
            "learning_rates": list(self.rates),
            "notes": list(self.notes),
            "warnings": list(self.recipe.warnings()),
        }


def plan(
    recipe: Recipe, *, record: Record = (), tested: bool = True, data_on: DataOn = "auto"
) -> RunPlan:
    """Say what a run would do.

    Nothing is written, downloaded or read but the recipe (and a dataset from outside the package,
    whose counts nothing else tells). All that the recipe names is made: the network without values
    for its weights, batches and callbacks of black images where the set is the package's own.

    Args:
        recipe: from `recipes.load`.
        record, tested, data_on: as in `run`.

    Raises:
        ValueError: what would stop the run before its first step, or in its second stage, as far as
            it can be known without the images.
    """
    recorded, on = check_record(record), check_data_on(data_on)
    known = known_data(recipe.data)
    known.split_arrays("test" if tested else "validation")  # there is such a part
    images = known.outline
    translate = recipe.stage1.translate
    if translate is not None and translate.helper:
        RunDirectory(translate.helper).results()
    model, batches = made(recipe, known, recorded, data_on=on)
    steps = len(batches)
    schedule = stage1_rate(recipe.stage1, steps)
    epochs = recipe.stage1.epochs
    asked = sorted({i * (epochs - 1) // _EPOCHS_ASKED for i in range(_EPOCHS_ASKED + 1)})
    epochs_asked = range(epochs) if epochs <= _EPOCHS_ASKED else asked
    rates = (keras.ops.convert_to_numpy(schedule(epoch * steps)) for epoch in epochs_asked)
    return RunPlan(
        recipe,
        images,
        steps,
        parts.count_parameters(model),
        models.trainable_parameters(model.backbone) + models.trainable_parameters(model.head),
        model.backbone.name,
        tuple(float(rate) for rate in rates),
    )


def _shown(choice: Any) -> str:
    """A table by its name and values: `ldam (max_margin 0.5, scale 30.0)`."""
    values = choice.model_dump(exclude={"name"}, exclude_none=True)
    options = ", ".join(f"{key} {value}" for key, value in values.items())
    return f"{choice.name} ({options})" if options else str(choice.name)


def _trained(recipe: Recipe, trained: int, parameters: int) -> list[str]:
    """What of the model stage 1 trains, where it is not all of it."""
    if recipe.model.train is None:
        return []
    share = f"{trained:,} of {parameters:,} parameters, the head included"
    return [f"trained   {_shown(recipe.model.train)}: {share}"]


def _late(recipe: Recipe) -> list[str]:
    """What begins during stage 1, one line each."""
    stage = recipe.stage1
    found = {
        "reweight": stage.reweight,
        "resample": stage.resample,
        "average": stage.average,
        "translate": stage.translate,
    }
    lines = []
    for name, choice in found.items():
        if choice is not None:
            epoch = first_epoch(choice.start, stage.epochs)
            values = choice.model_dump(exclude={"start"})
            options = ", ".join(f"{key} {value}" for key, value in values.items() if value != "")
            lines.append(f"{name:9} from epoch {epoch} on: {options}")
    return lines + _callbacks(stage)


def _callbacks(stage: Stage1 | Stage2) -> list[str]:
    """The callbacks that a stage lists, if there are any; their code must have been imported."""
    named = [_shown(choice) for choice in stage.callbacks or () if part_of(choice)]
    return [f"callbacks {', '.join(named)}"] if named else []


def _second(recipe: Recipe) -> str:
    stage = recipe.stage2
    if stage is None and recipe.posthoc is not None:
        return f"none; afterwards {_shown(recipe.posthoc)}, without training"
    if stage is None:
        return "none"
    size = stage.batch_size or recipe.stage1.batch_size
    features = "adversarial features" if stage.adversarial else "features"
    if stage.retraining(recipe.stage1).features_once:
        features = f"cached {features}"
    elif stage.batch_norm == "update":
        features += " of each batch, BatchNorm's statistics following"
    else:
        features += " of each batch"
    head = "a new head" if stage.reinitialize_head else "the head of stage 1"
    scales = {"scales": "a scale per class for ", "both": "a scale per class and "}
    falling = " falling to 0" if stage.decay == "cosine" else ""
    loss = "" if stage.loss is None else f", loss {_shown(stage.loss)}"
    return (
        f"{scales.get(stage.learn, '')}{head} on {features}: {stage.epochs} epochs of {size} "
        f"images per step, {stage.sampler} batches, learning rate {stage.lr:g}{falling}{loss}"
    )


def _summary(rates: tuple[float, ...]) -> str:
    """The different learning rates in their order; of many, the first, the peak and the last."""
    values = [f"{rate:.3g}" for rate in rates]
    distinct = list(dict.fromkeys(values))
    if len(distinct) > 8:
        distinct = [distinct[0], max(values, key=float), distinct[-1]]
    return " -> ".join(distinct)
