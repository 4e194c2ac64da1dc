"""From a stage's tables to the callbacks that carry them out."""

from typing import Any, TypeAlias

import keras

from keras_ccsam import callbacks, training
from keras_ccsam.data import BatchSequence, LongTailedData
from keras_ccsam.data.batches.batch_options import STAGE_ONE_OFF
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema_stages import Stage1, Stage2
from keras_ccsam.recipes.slots import build

StageCallbacks: TypeAlias = tuple[list[keras.callbacks.Callback], list[keras.callbacks.Callback]]
"""The callbacks of stage 1 and of stage 2."""


def stage_callbacks(
    recipe: Recipe, images: LongTailedData, batches: BatchSequence
) -> StageCallbacks:
    """Return the callbacks of stage 1 and of stage 2, in the order they must run in.

    Raises:
        ValueError: a callback refuses its options, or its code has not been imported.
    """
    first, second = recipe.stage1, recipe.stage2
    # Before the others, so that these see the weights of a training that was taken back.
    found: list[keras.callbacks.Callback] = [_guard(recipe, 1)]
    if first.reweight is not None:
        options = first.reweight.model_dump()
        found.append(callbacks.DeferredReweighting(images.class_counts, **options))
    if first.translate is not None:
        found.append(callbacks.StartTranslation(first.translate.start))
    found += _of_both(first, images, batches)
    if second is None:
        return found, []
    plain = batches.with_options(**STAGE_ONE_OFF, mixup=0.0, epochs=second.epochs)
    return found, [_guard(recipe, 2), *_of_both(second, images, plain)]


def _of_both(
    stage: Stage1 | Stage2, images: LongTailedData, batches: BatchSequence
) -> list[keras.callbacks.Callback]:
    """Return weight averaging, if there is any, and the callbacks that a stage lists.

    Each of these is given what it asks for by name.
    """
    found: list[keras.callbacks.Callback] = []
    if stage.average is not None:
        found.append(callbacks.WeightAveraging(batches, start=stage.average.start))
    known = {"class_counts": images.class_counts, "train": batches, "validation": images.validation}
    return found + [build(choice, **known) for choice in stage.callbacks or ()]


def _guard(recipe: Recipe, stage: int) -> callbacks.OnNonfinite:
    return callbacks.OnNonfinite(recipe.on_nonfinite, name=f"{recipe.name}, stage {stage}")


def nonfinite_steps(*stages: list[keras.callbacks.Callback]) -> dict[str, Any]:
    """What results.json says of steps that were left out or taken back; nothing without any."""
    guards = [one for stage in stages for one in stage if isinstance(one, callbacks.OnNonfinite)]
    skipped, rollbacks = (sum(getattr(g, k) for g in guards) for k in ("skipped", "rollbacks"))
    if not skipped and not rollbacks:
        return {}
    return {"nonfinite": {"skipped_steps": skipped, "rollbacks": rollbacks}}


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
