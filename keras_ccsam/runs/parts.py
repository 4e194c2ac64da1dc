"""From a recipe to the objects it names: data, batches, model, schedule, optimizers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras

from keras_ccsam import data, heads, models, schedules, sharpness
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema import Data, Groups, Method, Model, Stage1, Stage2
from keras_ccsam.training import SharpnessAwareModel


def load_data(choice: Data) -> data.LongTailedData:
    """Load the images that a recipe names."""
    return data.load(
        choice.name,
        imbalance_ratio=choice.imbalance_ratio,
        profile=choice.profile,
        protocol=choice.protocol,
        seed=choice.seed,
        path=choice.path or None,
        validation_fraction=choice.validation_fraction,
    )


def train_batches(recipe: Recipe, images: data.LongTailedData) -> data.BatchSequence:
    """Return the batches of stage 1.

    The last, smaller batch of an epoch is left out, as in CC-SAM's code, so that every step has
    the same shape; a set smaller than one batch keeps it.
    """
    stage = recipe.stage1
    return images.batches(
        "train",
        batch_size=stage.batch_size,
        augment=stage.augment,
        mixup=stage.mixup,
        seed=recipe.seed,
        drop_remainder=sum(images.class_counts) >= stage.batch_size,
    )


def build_model(recipe: Recipe, images: data.LongTailedData, steps: int) -> SharpnessAwareModel:
    """Build and compile the model of stage 1.

    Args:
        steps: of one epoch, for the learning-rate schedule.
    """
    stage = recipe.stage1
    with _precision(stage.precision):
        options = {key: _as_list(value) for key, value in recipe.model.options.items()}
        model = SharpnessAwareModel(
            models.build(recipe.model.backbone, images.image_shape, **options),
            head=_head(recipe.model, images.num_classes),
            sharpness=_sharpness(stage.method, images.class_counts),
            weight_decay=stage.weight_decay,
        )
    model.compile(
        optimizer=keras.optimizers.SGD(
            learning_rate(stage, steps),
            momentum=stage.momentum,
            nesterov=stage.nesterov,
            global_clipnorm=stage.clip_norm or None,
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def learning_rate(stage: Stage1, steps: int) -> schedules.WarmupSteps | schedules.WarmupCosine:
    """Return the schedule of stage 1, for so many steps an epoch.

    The warm-up rises once an epoch, as in the torch codebases. A boundary inside the warm-up takes
    effect at its end.
    """
    warmup = stage.warmup_epochs * steps
    if stage.decay == "cosine":
        return schedules.WarmupCosine(stage.lr, warmup, stage.epochs * steps, interval=steps)
    boundaries: list[int] = []
    for epoch in stage.boundary_epochs():
        least = boundaries[-1] + 1 if boundaries else max(warmup, 1)
        boundaries.append(max(round(epoch * steps), least))
    return schedules.WarmupSteps(stage.lr, warmup, boundaries, stage.factor, interval=steps)


def retraining_options(recipe: Recipe, stage: Stage2) -> dict[str, Any]:
    """Return the keyword arguments of `training.retrain_classifier`."""
    return {
        "epochs": stage.epochs,
        "adversarial": stage.adversarial,
        "strength": stage.strength,
        "radius_weights": stage.radius_weights,
        "loss_weights": stage.loss_weights,
        "alpha_max": stage.alpha_max,
        "weight_divisor": stage.weight_divisor,
        "reinitialize_head": stage.reinitialize_head,
        "batch_norm": stage.batch_norm,
        "sampler": stage.sampler,
        "augment": stage.augment,
        "batch_size": stage.batch_size or recipe.stage1.batch_size,
        "optimizer": keras.optimizers.SGD(stage.lr, momentum=stage.momentum),
        "weight_decay": stage.weight_decay,
    }


def count_parameters(model: SharpnessAwareModel) -> int:
    """Return the scalars of backbone and head, without the method's own variables."""
    return int(model.backbone.count_params() + model.head.count_params())


def group_options(groups: Groups) -> dict[str, Any]:
    """Return the keyword arguments that metrics split classes by."""
    options = groups.model_dump()
    return {"groups": options.pop("rule"), **options}


def _head(choice: Model, classes: int) -> keras.layers.Layer:
    if choice.head == "cosine":
        return heads.Cosine(classes, scale=choice.scale, name="classifier")
    return keras.layers.Dense(classes, name="classifier")


def _sharpness(method: Method, class_counts: tuple[int, ...]) -> sharpness.SharpnessMethod:
    if method.name == "class_conditional":
        return sharpness.ClassConditional(
            class_counts, method.radius_scale, method.flat_ratio, method.perturb
        )
    if method.name == "erm":
        return sharpness.ERM()
    return sharpness.SAM(method.rho, adaptive=method.name == "asam")


@contextmanager
def _precision(policy: str) -> Iterator[None]:
    """Build layers under a dtype policy without changing the caller's."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
