"""A first stage that is there already: of this run, before it was interrupted, or of another."""

import warnings
from typing import Any

import keras

from keras_ccsam.callbacks import metrics_log
from keras_ccsam.manifest import Damaged
from keras_ccsam.recipes import Recipe
from keras_ccsam.runs.run_directory import RunDirectory
from keras_ccsam.training import SharpnessAwareModel


def same_stage1(source: RunDirectory, recipe: Recipe) -> RunDirectory:
    """Return a run that lends its first stage to one of `recipe`.

    Raises:
        ValueError: its first stage is another, or it is not finished.
    """
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


def copy_stage1(source: RunDirectory, model: SharpnessAwareModel, directory: RunDirectory) -> None:
    """Take over the weights and the records, so that the new folder is complete by itself."""
    metrics_log.keep(directory.metrics_file, lambda record: False)
    metrics_log.append(directory.metrics_file, *source.metrics(stage=1))
    with directory.writing(directory.stage1_file) as temporary:
        temporary.write_bytes(source.stage1_weights().read_bytes())
    load_stage1(model, directory)


def has_stage1(directory: RunDirectory) -> bool:
    """Whether the first stage is there; of one whose weights are damaged, warn that it is not."""
    if not directory.stage1_file.is_file():
        return False
    try:
        directory.check(directory.stage1_file)
    except Damaged as error:
        warnings.warn(f"stage 1 is trained again: {error}", stacklevel=2)
        return False
    return True


def load_stage1(model: SharpnessAwareModel, directory: RunDirectory) -> None:
    """Give a model the weights that stage 1 ended with."""
    model.optimizer.build(model.trainable_variables)
    model.load_weights(directory.stage1_file)


def seed_states(model: keras.Model) -> list[tuple[Any, Any]]:
    """Return the seeds of a model's layers with their values: stage 2 begins with the same."""
    return [
        (variable, keras.ops.convert_to_numpy(variable))
        for variable in model.variables
        if variable.path.endswith("seed_generator_state")
    ]
