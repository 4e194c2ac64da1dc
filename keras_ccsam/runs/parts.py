"""From a recipe to the objects it names: data, batches, model, schedule, optimizers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import keras

from keras_ccsam import data, models
from keras_ccsam.closed_table import Table
from keras_ccsam.data.batches.batch_options import DataOn
from keras_ccsam.data.tails.cut import cut
from keras_ccsam.data.tails.tail import Tail
from keras_ccsam.losses import balanced_class_weight
from keras_ccsam.m2m import MajorToMinor
from keras_ccsam.options import options as declared
from keras_ccsam.recipes import Recipe
from keras_ccsam.recipes.schema import Data, Groups, Model
from keras_ccsam.recipes.schema_stages import Stage1, Stage2
from keras_ccsam.recipes.slots import augmentations, build, name_of, part_of, values
from keras_ccsam.runs.learning_rates import stage1_rate, stage2_rate
from keras_ccsam.schedules.start import first_epoch
from keras_ccsam.second_stage import Retraining
from keras_ccsam.terms import Term
from keras_ccsam.training import RateFactors, SharpnessAwareModel, StepPart


def load_data(choice: Data) -> data.LongTailedData:
    """Load the images that a recipe names.

    Raises:
        ValueError: as `data.load`; for a dataset from outside, also if it gives no `data.Source`.
    """
    if choice.name in data.DATASETS:
        return data.load(choice.name, path=choice.path or None, **_tail(choice).settings)
    source = build(choice, path=choice.path or None, seed=choice.seed)
    if not isinstance(source, data.Source):
        raise ValueError(
            "a dataset from outside must return a keras_ccsam.data.Source, as data.source(x, y) "
            f"makes it. Received: data.name={choice.name!r}, which returned the type "
            f"{type(source).__name__}"
        )
    return cut(source, _tail(choice), fit_head=True)


def outline_data(choice: Data) -> data.Outline:
    """Return what is known of those images before one is read or downloaded.

    A dataset from outside does not tell: it is loaded.
    """
    if choice.name in data.DATASETS:
        return data.outline(choice.name, path=choice.path or None, **_tail(choice).settings)
    return load_data(choice).outline


def _tail(choice: Data) -> Tail:
    chosen: dict[str, Any] = {name: getattr(choice, name) for name in declared(Tail)}
    if choice.imbalance_ratio == "none":  # TOML has no null
        chosen["imbalance_ratio"] = None
    return Tail(**chosen)


def train_batches(
    recipe: Recipe, images: data.LongTailedData, data_on: DataOn = "host"
) -> data.BatchSequence:
    """Return the batches of stage 1.

    The last, smaller batch of an epoch is left out, as in CC-SAM's code, so that every step has
    the same shape; a set smaller than one batch keeps it.
    """
    weights = class_weight(recipe.stage1, images.class_counts)
    options = batch_options(recipe, sum(images.class_counts))
    return images.batches("train", class_weight=weights, data_on=data_on, **options)


def batch_options(recipe: Recipe, images: int) -> dict[str, Any]:
    """Return the options of the batches of stage 1, for a training set of so many images."""
    stage = recipe.stage1
    options: dict[str, Any] = {
        "batch_size": stage.batch_size,
        "sampler": stage.sampler,
        "augment": augmentations(stage.augment),
        "mixup": stage.mixup,
        "cutmix": stage.cutmix,
        "cutmix_share": stage.cutmix_share,
        "mix_probability": stage.mix_probability,
        "views": None if stage.views is None else build(stage.views),
        "sample_index": any("sample_index" in part_of(t).needs for t in stage.terms or ()),
        "seed": recipe.seed,
        "drop_remainder": images >= stage.batch_size,
        "epochs": stage.epochs,
    }
    if stage.resample is not None:
        options["deferred_sampler"] = stage.resample.sampler
        options["deferred_from"] = first_epoch(stage.resample.start, stage.epochs)
    return options


def class_weight(stage: Stage1, class_counts: Sequence[int]) -> dict[int, float] | None:
    """Return the weights of the classes in the loss of stage 1, where there are any."""
    if stage.class_weight is None:
        return None
    options = {} if stage.class_weight == "auto" else stage.class_weight.model_dump()
    return balanced_class_weight(class_counts, **options)


def steps_per_epoch(recipe: Recipe, images: int) -> int:
    """Return the length of `train_batches`, for a training set of so many images."""
    return max(1, images // recipe.stage1.batch_size)


def build_model(
    recipe: Recipe,
    images: data.LongTailedData | data.Outline,
    steps: int,
    helper: keras.Model | None = None,
    *,
    empty: bool = False,
    on: tuple[keras.Model, keras.Layer] | None = None,
) -> SharpnessAwareModel:
    """Build and compile the model of stage 1.

    Args:
        steps: of one epoch, for the learning-rate schedule.
        helper: the network that guides M2m's translation, where the recipe has one.
        empty: give the network's weights shapes and names, and no values: nothing is allocated for
            them, and the model is there to be asked, not to be trained.
        on: a backbone and a head in place of the recipe's.
    """
    stage = recipe.stage1
    step_parts: list[StepPart] = []
    if stage.head_lr_factor is not None:
        step_parts.append(RateFactors({"head": stage.head_lr_factor}))
    if stage.translate is not None and helper is not None:
        options = stage.translate.model_dump(exclude={"start", "helper"})
        step_parts = [MajorToMinor(helper, images.class_counts, **options)]
    with _precision(stage.precision):
        if on is None:
            with keras.StatelessScope(initialize_variables=False) if empty else nullcontext():
                backbone = build_backbone(recipe.model, images.image_shape, empty=empty)
                # After the backbone: each initializer takes the next seed when it is made.
                known = {"units": images.num_classes, "features": backbone.output_shape[-1]}
                head = build(recipe.model.head, name="classifier", **known)
                if empty:  # else the model builds it, and draws its values
                    head.build(backbone.output_shape)
        else:
            backbone, head = on
        model = SharpnessAwareModel(
            backbone,
            head=head,
            sharpness=build(stage.method, class_counts=images.class_counts),
            weight_decay=stage.weight_decay,
            decay_in_loss=stage.decay_in_loss,
            batch_norm_sync=stage.batch_norm_sync,
            flat_step=stage.flat_step,
            step_parts=step_parts,
            terms=terms(stage, images.class_counts),
        )
    model.compile(
        optimizer=keras.optimizers.SGD(
            stage1_rate(stage, steps),
            momentum=stage.momentum,
            nesterov=stage.nesterov,
            global_clipnorm=stage.clip_norm or None,
        ),
        loss=build(stage.loss, class_counts=images.class_counts),
        metrics=["accuracy"],
    )
    return model


def terms(stage: Stage1, class_counts: Sequence[int]) -> list[Term]:
    """Return what stage 1 adds to the loss of its batches."""
    rows = 1 if stage.views is None else build(stage.views).count
    return [build(choice, class_counts=class_counts, rows=rows) for choice in stage.terms or ()]


def retraining(recipe: Recipe, stage: Stage2, batches: data.BatchSequence) -> Retraining:
    """Return the second stage of a recipe that trains on `batches`."""
    size = stage.batch_size or batches.batch_size
    rate = stage2_rate(stage, len(batches.with_options(batch_size=size)))
    return stage.retraining(
        recipe.stage1,
        loss=build(stage.loss or recipe.stage1.loss, class_counts=batches.class_counts),
        optimizer=keras.optimizers.SGD(rate, momentum=stage.momentum),
    )


def count_parameters(model: SharpnessAwareModel) -> int:
    """Return the scalars of backbone and head, without the method's own variables."""
    return int(model.backbone.count_params() + model.head.count_params())


def group_options(groups: Groups) -> dict[str, Any]:
    """Return the keyword arguments that metrics split classes by."""
    options = groups.model_dump()
    return {"groups": options.pop("rule"), **options}


def build_backbone(choice: Model, shape: tuple[int, ...], *, empty: bool = False) -> keras.Model:
    """Build the backbone, with its weights and with what of it is frozen.

    Args:
        choice: of the network.
        shape: of the images.
        empty: nothing is downloaded or read for a network that is only asked.

    Raises:
        ValueError: it cannot be built, or its weights cannot be had.
    """
    backbone = _backbone(choice.backbone, shape, empty)
    if choice.weights is not None:
        models.check_weights_file(choice.weights)
        if not empty:
            models.load_weights(backbone, choice.weights)
    if choice.spectral_norm is not None:
        iterations = choice.spectral_norm.power_iterations
        backbone = models.spectrally_normalize(backbone, iterations)
    if choice.train is not None:
        backbone = build(choice.train, backbone=backbone)
    return backbone


def _backbone(choice: Table, shape: tuple[int, ...], empty: bool) -> keras.Model:
    options = {key: _as_list(value) for key, value in values(choice).items()}
    name = name_of(choice)
    if empty:  # nothing is downloaded for a network that is only asked
        options |= {"load_weights": False} if name == "hub" else {}
        if isinstance(options.get("weights"), str):
            models.check_weights(options["weights"])
            options["weights"] = None
    if ":" not in name:
        return models.build(name, shape, **options)
    return models.build(part_of(choice).build(options, input_shape=shape), shape)


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
