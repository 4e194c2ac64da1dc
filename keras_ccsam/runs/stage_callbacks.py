"""From a stage's tables to the callbacks that carry them out."""

import keras

from keras_ccsam import callbacks, training
from keras_ccsam.data import BatchSequence, LongTailedData
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema_stages import Average, Stage2
from keras_ccsam.recipes.slots import build


def stage1_callbacks(
    recipe: Recipe, images: LongTailedData, batches: BatchSequence
) -> list[keras.callbacks.Callback]:
    """Return the callbacks of stage 1, in the order they must run in."""
    stage = recipe.stage1
    found: list[keras.callbacks.Callback] = []
    if stage.reweight is not None:
        options = stage.reweight.model_dump()
        found.append(callbacks.DeferredReweighting(images.class_counts, **options))
    if stage.translate is not None:
        found.append(callbacks.StartTranslation(stage.translate.start))
    return found + _averaging(stage.average, batches)


def stage2_callbacks(stage: Stage2, batches: BatchSequence) -> list[keras.callbacks.Callback]:
    """Return the callbacks of stage 2, of which `batches` are those of stage 1."""
    plain = batches.with_options(
        mixup=0.0, epochs=stage.epochs, deferred_sampler=None, deferred_from=0
    )
    return _averaging(stage.average, plain)


def _averaging(choice: Average | None, batches: BatchSequence) -> list[keras.callbacks.Callback]:
    """Return the callback of weight averaging, if there is one."""
    return [] if choice is None else [callbacks.WeightAveraging(batches, start=choice.start)]


def apply_posthoc(
    recipe: Recipe, images: LongTailedData, model: training.SharpnessAwareModel
) -> float | None:
    """Change the trained model as the recipe says, without training; return tau if there is one."""
    choice = recipe.posthoc
    if choice is None:
        return None
    made = build(
        choice,
        model=model,
        train=images.train,
        class_counts=images.class_counts,
        validation=images.validation,
    )
    return made if isinstance(made, float) else None
