"""Stage 2: the head alone is trained again, on the features of a frozen backbone.

The stage runs in a small model of its own over the same two layers, so the stage-1 model keeps
its optimizer, its history and its trainable flags; only the head's weights are new afterwards.

    cRT     new weights v, b of the head          (Kang et al. 2020; CC-SAM and GCL continue them)
    LWS     scales: z_c = f_c (h v_c + b_c), f only                          (Kang et al. 2020)
    MiSLAS  both, v and b at a smaller rate than f                          (Zhong et al. 2021)

The scales are folded into the head at the end: v_c <- f_c v_c, b_c <- f_c b_c.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, Literal

import keras
from pydantic import Field

from keras_ccsam.checks import check_class_counts
from keras_ccsam.data import BatchSequence
from keras_ccsam.data.batches.augment import Augmentation
from keras_ccsam.data.batches.batch_options import STAGE_ONE_OFF
from keras_ccsam.data.batches.samplers import TrainingSampler
from keras_ccsam.finite import check_finite_weights
from keras_ccsam.heads import Scaled, puts_out_logits
from keras_ccsam.hints import did_you_mean
from keras_ccsam.options import checked, options
from keras_ccsam.second_stage.alpha_ramp import AlphaRamp
from keras_ccsam.second_stage.class_gap import StrengthUnit, class_gap
from keras_ccsam.second_stage.features import LabelledImages, extract_features, on_features
from keras_ccsam.second_stage.fitting_checks import (
    check_plain_dense,
    check_sharpness_aware,
    check_split,
    check_trainable,
)
from keras_ccsam.second_stage.fresh import reinitialize, unused
from keras_ccsam.second_stage.labelled_arrays import inputs_and_labels, refuse_passes, row_batches
from keras_ccsam.second_stage.retraining_model import RetrainingModel
from keras_ccsam.second_stage.retraining_rates import (
    BatchNorm,
    Learn,
    RateFactor,
    check_rates,
    said,
    stage2_sgd,
)
from keras_ccsam.sharpness.adversarial_features import (
    AdversarialFeatures,
    LossWeights,
    RadiusWeights,
    Strength,
    WeightDivisor,
)
from keras_ccsam.sharpness.erm import ERM
from keras_ccsam.sharpness.method import SharpnessMethod
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.training.one_output import check_one_output
from keras_ccsam.training.sample_loss import resolve_loss
from keras_ccsam.typing import Tensor

# Defaults that the stage shares stand once, on what it makes.
_MODEL, _FEATURES = options(RetrainingModel), options(AdversarialFeatures)


@dataclass(frozen=True, kw_only=True)
class Retraining:
    """A second stage: which weights of the head are trained again, on what and how.

    The defaults are those of CC-SAM's own second stage (Zhou et al., CVPR 2023, and its released
    code): the head goes on from stage 1, on adversarial features from the first epoch to the last.
    So `adversarial` is True. The second stages of cRT, LWS, MiSLAS and GCL are plain and say
    `adversarial=False`.

    The same weights, data and seed (that of the training data; Keras' own where the head is drawn
    anew) give the same head.

    Attributes:
        epochs, learn, ...: see each field. `alpha_max` caps the adversarial share, which is
            min(alpha_max, (e + 1) / epochs) at epoch e. `strength_unit="class_gap"` takes the gap
            of the features that the stage begins with. `loss_weights=True` with `alpha_max=1` is
            the published setting; it collapses on the frequent classes at its last epochs
            (`sharpness.AdversarialFeatures`). `learn="scales"` and `"both"` need a plain
            `keras.layers.Dense`, and it is one afterwards.
        loss: a Keras loss or its name; that of `model.compile` where there is none. The model keeps
            its own for `evaluate`.
        optimizer: a Keras optimizer, with a schedule or not; `stage2_sgd()` where there is none.
            One that has trained before is replaced by a fresh one of its config.
        class_counts: n_c of the adversarial features; those of the training data where there are
            none.
        metrics: of `keras.Model.compile`.

    Raises:
        ValueError: for an option outside its range, or two that exclude each other.

    Example:
        >>> stage2 = Retraining(epochs=30, adversarial=False, reinitialize_head=True)  # cRT
        >>> stage2.check(model)
        >>> history = stage2.run(model, data.train, verbose=2)
    """

    epochs: Annotated[
        int, Field(ge=1, le=1_000_000, description="passes over the training set (paper: 30)")
    ] = 30
    learn: Learn = _MODEL["learn"].default
    adversarial: Annotated[
        bool, Field(description="train on CC-SAM's adversarial features as well (paper: yes)")
    ] = True
    strength: Strength = _FEATURES["strength"].default
    strength_unit: StrengthUnit = "length"
    radius_weights: RadiusWeights = _FEATURES["radius_weights"].default
    loss_weights: LossWeights = _FEATURES["loss_weights"].default
    alpha_max: Annotated[
        float,
        Field(ge=0, le=1, description="cap of the adversarial share (code: 1 CIFAR-10, 0.3 -100)"),
    ] = 1.0
    weight_divisor: WeightDivisor = _FEATURES["weight_divisor"].default
    reinitialize_head: Annotated[
        bool, Field(description="start from a new head (cRT paper: yes; CC-SAM, MiSLAS, GCL: no)")
    ] = False
    batch_norm: BatchNorm = _MODEL["batch_norm"].default
    sampler: Annotated[
        TrainingSampler, Field(description="how batches are drawn (field: class-balanced)")
    ] = "class_balanced"
    images_per_class: Annotated[
        int,
        Field(ge=1, description="of a class-balanced visit (CC-SAM: 1; decoupling, MiSLAS: 4)"),
    ] = 1
    lr_factor: RateFactor = _MODEL["lr_factor"].default
    weight_decay: Annotated[
        float, Field(ge=0, description="torch's, as in stage 1 (code: 2e-4)")
    ] = 0.0
    augment: Annotated[
        Literal["default"] | Annotated[tuple[str | Augmentation, ...], Field(strict=False)],
        Field(
            description='names; "default": the set\'s own; none: features are computed once '
            "(code: crop and flip)",
        ),
    ] = ()
    mixup: Annotated[
        float, Field(ge=0, description="alpha of mixup, whatever stage 1 has; 0: none (GCL: 1)")
    ] = 0.0
    batch_size: Annotated[int, Field(ge=0, description="images; 0: as in stage 1 (paper: 64)")] = 0
    loss: keras.losses.Loss | Callable[[Tensor, Tensor], Tensor] | str | None = None
    optimizer: keras.optimizers.Optimizer | str | None = None
    class_counts: Sequence[int] | None = None
    metrics: Sequence[Any] = ("accuracy",)

    def __post_init__(self) -> None:
        for name, value in checked(Retraining, vars(self)).items():
            object.__setattr__(self, name, value)
        if self.class_counts is not None:
            object.__setattr__(self, "class_counts", check_class_counts(self.class_counts))
        check_rates(self.learn, self.lr_factor, self.optimizer)
        if self.learn == "scales" and self.reinitialize_head:
            raise ValueError(
                "learn='scales' holds the kernel and the bias that stage 1 has learnt, so they "
                "must not be drawn anew. Received: reinitialize_head=True"
            )

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Retraining":
        """The stage with these options.

        Raises:
            ValueError: as the constructor, and for an unknown name, with the closest one.
        """
        known = [field.name for field in fields(cls)]
        for name, value in options.items():
            if name not in known:
                raise ValueError(
                    f"A second stage has no option {name!r}{did_you_mean(name, known)} "
                    f"(known: {', '.join(known)}). Received: {name}={value!r}"
                )
        return cls(**options)

    def check(self, model: object) -> None:
        """Refuses a model whose head cannot be retrained so, trained or not.

        Raises:
            ValueError: for a model that is not a compiled `SharpnessAwareModel`, a head that is
                frozen, cannot be scaled or has other classes than `class_counts`, or a loss that
                does not suit the model's outputs.
        """
        known = check_sharpness_aware(model)
        if known.sample_loss is None:
            raise ValueError(
                "The model must be compiled before its head is retrained. "
                f"Received: model={model!r}"
            )
        if self.learn != "scales":
            check_trainable(known.head)
        if self.learn != "classifier":
            check_plain_dense(
                known,
                f"learn={self.learn!r} scales the logits class by class and folds the scales into "
                "the head afterwards; only a plain keras.layers.Dense can take them.",
            )
        if self.class_counts is not None:
            check_class_counts(self.class_counts, known.num_classes)
        check_one_output(resolve_loss(self.loss, puts_out_logits(known.head)), known.head)

    def check_data(self, train: object) -> None:
        """Refuses data that cannot be resampled as the options say.

        Raises:
            ValueError: if `train` is neither the training part of a `data.BatchSequence` nor a
                tuple of inputs and labels, or an option does not suit it.
        """
        self.batches(train)

    def batches(self, train: object) -> BatchSequence:
        """The batches of the stage: the training data's, drawn as the options say.

        Raises:
            ValueError: as `check_data`.
        """
        check_split(train, "train", reason="`train` must be the training part of the data.")
        rows = row_batches(train)
        if rows is not train and not self.features_once:
            refuse_passes(augment=self.augment, mixup=self.mixup, batch_norm=self.batch_norm)
        return rows.with_options(
            sampler=self.sampler,
            images_per_class=self.images_per_class,
            augment=self.augment,
            mixup=self.mixup,
            epochs=self.epochs,
            **STAGE_ONE_OFF,
            batch_size=self.batch_size or rows.batch_size,
        )

    def run(
        self,
        model: SharpnessAwareModel,
        train: LabelledImages,
        *,
        verbose: int | str = 0,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> keras.callbacks.History:
        """Trains the head of `model` again, in place.

        Args:
            model: trained.
            train: its training data, a `data.BatchSequence`; or a tuple of inputs and labels, of
                any shape, where the inputs of a network that takes several are a dict or list.
            verbose: of `keras.Model.fit`. Unless it is 0, a line comes first that says that
                another stage begins: Keras counts its epochs from 1 again.
            callbacks: of `keras.Model.fit`.

        Returns:
            The stage's history.

        Raises:
            ValueError: as `check` and `check_data`, and if a weight is NaN or infinite.
        """
        self.check(model)
        check_finite_weights(model.backbone, *([] if self.reinitialize_head else [model.head]))
        drawn = self.batches(train)
        if verbose:
            print(f"stage 2: {said(self.learn, self.epochs)}", flush=True)
        if self.reinitialize_head:
            reinitialize(model.head)
        backbone: keras.layers.Layer = model.backbone
        batches: keras.utils.PyDataset = drawn
        chosen, in_gaps = self, self.adversarial and self.strength_unit == "class_gap"
        if self.features_once or in_gaps:
            images, labels = inputs_and_labels(train)[0], drawn.arrays()[1]
            features = extract_features(model, images, drawn.batch_size)
            if in_gaps:
                chosen = replace(self, strength=self.strength * class_gap(features, labels))
        if self.features_once:
            batches, backbone = on_features(drawn, features, labels)
        stage = chosen._model(model, backbone, drawn.class_counts)
        ramp = [AlphaRamp(self.epochs, self.alpha_max)] if self.adversarial else []
        history = stage.fit(
            batches, epochs=self.epochs, verbose=verbose, callbacks=[*ramp, *callbacks]
        )
        if isinstance(stage.head, Scaled):
            stage.head.fold()
        # A loss may scale the logits; the model's are now those of this one.
        if stage.logit_scale != model.logit_scale:
            model.logit_scale = stage.logit_scale
        return history

    @property
    def features_once(self) -> bool:
        """Whether every epoch sees the same features, which are then kept: a shortcut."""
        return not self.augment and not self.mixup and self.batch_norm == "frozen"

    def _model(
        self, model: SharpnessAwareModel, backbone: keras.layers.Layer, counts: Sequence[int]
    ) -> RetrainingModel:
        """The stage's own model, compiled."""
        method: SharpnessMethod = ERM()
        if self.adversarial:
            method = AdversarialFeatures(
                self.class_counts or counts,
                self.strength,
                self.radius_weights,
                self.loss_weights,
                self.weight_divisor,
                alpha=0.0,
            )
        stage = RetrainingModel(
            backbone,
            model.head if self.learn == "classifier" else Scaled(model.head),
            method,
            batch_norm=self.batch_norm,
            learn=self.learn,
            lr_factor=self.lr_factor,
            weight_decay=self.weight_decay,
            flat_step=model.flat_step,
        )
        stage.compile(
            optimizer=unused(self.optimizer or stage2_sgd()),
            loss=(model.sample_loss and model.sample_loss.loss) if self.loss is None else self.loss,
            metrics=list(self.metrics),
        )
        return stage
