"""What a recipe would do, without training."""

from typing import Any

import keras

from keras_ccsam import text_table as table
from keras_ccsam.callbacks import first_epoch
from keras_ccsam.metrics import group_classes
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import parts
from keras_ccsam.runs.learning_rates import stage1_rate


def plan(recipe: Recipe) -> str:
    """Load the data, build the model and describe the run as text; nothing is written.

    Raises:
        ValueError: whatever would stop the run before its first step.
    """
    images = parts.load_data(recipe.data)
    batches = parts.train_batches(recipe, images)
    keras.utils.set_random_seed(recipe.seed)
    model = parts.build_model(recipe, images, len(batches))
    rates = stage1_rate(recipe.stage1, len(batches))
    first = recipe.stage1
    facts = images.describe()
    lines = [
        f"recipe    {recipe.name} ({recipe.variant}): {recipe.description}",
        f"data      {facts['name']}: {facts['train']} images of "
        f"{'x'.join(map(str, images.image_shape))} to train on, {facts['validation']} for "
        f"validation, {facts['test']} to test on",
        f"model     {_shown(recipe.model.backbone)} and a {_shown(recipe.model.head)} head, "
        f"{parts.count_parameters(model):,} parameters, {first.precision}",
        f"loss      {_shown(first.loss)}",
        f"stage 1   {_shown(first.method)}: {first.epochs} epochs of {len(batches)} steps of "
        f"{batches.batch_size} images, learning rate "
        + " -> ".join(_rates(rates, len(batches), first.epochs)),
        *_late(recipe),
        f"stage 2   {_second(recipe)}",
        f"backend   {keras.backend.backend()}",
        f"seed      {recipe.seed}",
        f"digest    {recipe.digest()} (stage 1: {recipe.stage1_digest()})",
    ]
    lines += [f"note      {recipe.note}"] if recipe.note else []
    lines += [f"warning   {text}" for text in recipe.warnings()]
    groups = group_classes(images.class_counts, **parts.group_options(recipe.groups))
    rows = [
        (str(label), images.class_names[label], str(images.class_counts[label]), name)
        for name, classes in groups.items()
        for label in classes
    ]
    return "\n".join(lines) + "\n\n" + table.text_table(("class", "name", "images", "group"), rows)


def _shown(choice: Any) -> str:
    """A table by its name and values: `ldam (max_margin 0.5, scale 30.0)`."""
    values = choice.model_dump(exclude={"name"})
    options = ", ".join(f"{key} {value}" for key, value in values.items())
    return f"{choice.name} ({options})" if options else str(choice.name)


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
    return lines


def _second(recipe: Recipe) -> str:
    stage = recipe.stage2
    if stage is None and recipe.posthoc is not None:
        return f"none; afterwards {_shown(recipe.posthoc)}, without training"
    if stage is None:
        return "none"
    size = stage.batch_size or recipe.stage1.batch_size
    features = "adversarial features" if stage.adversarial else "features"
    head = "a new head" if stage.reinitialize_head else "the head of stage 1"
    scales = {"scales": "a scale a class for ", "both": "a scale a class and "}
    falling = " falling to 0" if stage.decay == "cosine" else ""
    loss = "" if stage.loss is None else f", loss {_shown(stage.loss)}"
    return (
        f"{scales.get(stage.learn, '')}{head} on {features}: {stage.epochs} epochs of {size} "
        f"images a step, {stage.sampler} batches, learning rate {stage.lr:g}{falling}{loss}"
    )


def _rates(
    schedule: keras.optimizers.schedules.LearningRateSchedule, steps: int, epochs: int
) -> list[str]:
    """The different learning rates, epoch by epoch; of many, the first, the peak and the last."""
    rates = (keras.ops.convert_to_numpy(schedule(epoch * steps)) for epoch in range(epochs))
    values = [f"{float(rate):.3g}" for rate in rates]
    distinct = list(dict.fromkeys(values))
    return distinct if len(distinct) <= 8 else [distinct[0], max(values, key=float), distinct[-1]]
