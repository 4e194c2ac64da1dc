"""What would stop a run before its first step, or in its second stage: a plan refuses it, too."""

from collections.abc import Mapping
from typing import Any

from keras_ccsam.data import BatchSequence, LongTailedData
from keras_ccsam.data.batches.batch_options import DataOn
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs import parts
from keras_ccsam.runs.recorders import check_for
from keras_ccsam.runs.stage_callbacks import StageCallbacks, stage_callbacks
from keras_ccsam.training import SharpnessAwareModel
from keras_ccsam.training.joined import check_fit


def check_stages(
    recipe: Recipe,
    images: LongTailedData,
    model: SharpnessAwareModel,
    batches: BatchSequence,
    callbacks: StageCallbacks,
    record: Mapping[str, Mapping[str, Any]],
) -> None:
    """Refuse parts of a recipe that do not go together.

    Args:
        recipe: of the run.
        images: that it trains with, read or not.
        model: of stage 1; its weights need no values.
        batches: of stage 1.
        callbacks: of both stages.
        record: what is recorded, as `record_options.check_record` returns it.

    Raises:
        ValueError: by the part that does not fit.
    """
    check_for(record, images, model)
    first, second = callbacks
    check_fit(first, {"x": batches})
    if recipe.stage2 is not None:
        stage = parts.retraining(recipe, recipe.stage2, batches)
        stage.check(model)
        check_fit(second, {"x": stage.batches(batches)})


def made(
    recipe: Recipe,
    images: LongTailedData,
    record: Mapping[str, Mapping[str, Any]],
    *,
    empty: bool = True,
    data_on: DataOn = "host",
) -> tuple[SharpnessAwareModel, BatchSequence]:
    """Make all that a recipe names, and check it; nothing is trained or written.

    Args:
        recipe: of a run.
        images: of its data, read or not.
        record: as in `check_stages`.
        empty: as in `parts.build_model`.
        data_on: as in `parts.train_batches`.

    Returns:
        the model and the batches of stage 1.

    Raises:
        ValueError: by the part that cannot be made or does not fit.
    """
    batches = parts.train_batches(recipe, images, data_on)
    callbacks = stage_callbacks(recipe, images, batches)
    model = parts.build_model(recipe, images, len(batches), empty=empty)
    check_stages(recipe, images, model, batches, callbacks, record)
    return model, batches
