"""A run on a frozen backbone: stages train on features that are computed once.

Where the backbone is frozen and no image is changed before it is used, every epoch sees the same
features of an image. A run then trains a model of the head alone on them, with the same batches and
the same random numbers, and puts the head back on the backbone at its end.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

from keras_ccsam.data import BatchSequence, LongTailedData
from keras_ccsam.recipes import Recipe, known
from keras_ccsam.recipes.slots import name_of
from keras_ccsam.runs import parts
from keras_ccsam.runs.folders import PathLike, kind_of, named
from keras_ccsam.second_stage.feature_store import FeatureStore
from keras_ccsam.training import SharpnessAwareModel

_FOLDER = ".feature-cache"


def is_frozen(recipe: Recipe) -> bool:
    """Whether no weight of the backbone is trained."""
    return recipe.model.train is not None and name_of(recipe.model.train) == "frozen"


def why_images(recipe: Recipe, batches: BatchSequence, record: Sequence[str]) -> str | None:
    """Why a run on a frozen backbone has to pass its images in every epoch; None if it has not."""
    first, second = recipe.stage1, recipe.stage2
    listed = [*(first.callbacks or ()), *((second and second.callbacks) or ())]
    if batches.augmented:
        return "stage1.augment changes them"
    if first.mixup:
        return "stage1.mixup mixes them"
    if first.views is not None:
        return "stage1.views shows several rows of each"
    if first.translate is not None:
        return "stage1.translate translates them"
    if second is not None and (second.retraining(first).augment or second.mixup):
        return "stage2.augment or stage2.mixup changes them"
    if record:
        return f"{', '.join(record)} is recorded of the whole network"
    if any(known.is_dotted(name_of(choice)) for choice in listed):
        return "a callback from outside may look at them"
    return None


@dataclasses.dataclass(frozen=True)
class OnFeatures:
    """What trains in place of the images and of the whole model.

    Attributes:
        images: the same data, with features (N, D) in place of images.
        model: of the head alone; the head is that of the whole model.
        said: what a user is told.
    """

    images: LongTailedData
    model: SharpnessAwareModel
    said: str


def on_features(
    recipe: Recipe,
    images: LongTailedData,
    whole: SharpnessAwareModel,
    batches: BatchSequence,
    record: Sequence[str],
    folder: Path | None,
) -> OnFeatures:
    """Computes, or reads, the features of all parts, and builds the model on them.

    Args:
        recipe: with a frozen backbone.
        images: the data.
        whole: the model of backbone and head, built and compiled.
        batches: of stage 1.
        record: what is recorded after each epoch.
        folder: where features are kept; None keeps none.

    Returns:
        Images and model as they were, with the reason, where the images are needed.
    """
    reason = why_images(recipe, batches, record)
    if reason is not None:
        said = f"frozen backbone: every epoch passes the images through it, since {reason}"
        return OnFeatures(images, whole, said)
    store = FeatureStore(whole.backbone, folder)
    parts_of = {
        name: None if x is None else store.features(x)
        for name, x in (
            ("x_train", images.x_train),
            ("x_validation", images.x_validation),
            ("x_test", images.x_test),
        )
    }
    replaced: Any = dict(parts_of)
    features = dataclasses.replace(images, **replaced)
    backbone = backbone_of(features.image_shape)
    steps = parts.steps_per_epoch(recipe, sum(images.class_counts))
    model = parts.build_model(recipe, features, steps, on=(backbone, whole.head))
    _copy(_own(whole), _own(model))
    where = "" if folder is None else f", kept in {folder}"
    said = (
        f"frozen backbone: features of {store.computed} parts computed, of {store.found} read"
        f"{where}; the epochs train the head on them"
    )
    return OnFeatures(features, model, said)


def backbone_of(shape: Sequence[int]) -> keras.Model:
    """The backbone of a model on features of a shape (D,): it leaves them as they are."""
    inputs = keras.Input(tuple(shape), name="features")
    return keras.Model(inputs, keras.layers.Identity()(inputs), name="features")


def hand_over(model: SharpnessAwareModel, whole: SharpnessAwareModel) -> None:
    """Gives the whole model what the training of its head left: optimizer, radii, logit scale."""
    if model is whole:
        return
    whole.optimizer.build(whole.trainable_variables)
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    _copy(model.optimizer.variables, whole.optimizer.variables)
    _copy(_own(model), _own(whole))
    if model.logit_scale != whole.logit_scale:
        whole.logit_scale = model.logit_scale


def cache_folder(choice: PathLike, run: Path) -> Path | None:
    """Where features are kept: `"auto"` is beside the run, or beside its comparison.

    Raises:
        ValueError: `choice` is a file.
    """
    if choice == "off":
        return None
    if choice != "auto":
        chosen = named(choice, "feature_cache")
        if chosen.exists() and not chosen.is_dir():
            raise ValueError(
                "features are kept in a folder, and this is a file. "
                f"Received: feature_cache={str(choice)!r}"
            )
        return chosen
    around = run.absolute().parent
    return (around.parent if kind_of(around) == "comparison" else around) / _FOLDER


def _own(model: SharpnessAwareModel) -> list[keras.Variable]:
    """A model's variables without those of backbone and head."""
    others = {id(v) for part in (model.backbone, model.head) for v in part.variables}
    return [v for v in model.variables if id(v) not in others]


def _copy(source: Sequence[keras.Variable], target: Sequence[keras.Variable]) -> None:
    for one, other in zip(source, target, strict=True):
        other.assign(one.value)
