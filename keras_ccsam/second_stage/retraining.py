"""Stage 2: the head alone is trained again, on the features of a frozen backbone.

The stage runs in a small model of its own over the same two layers, so the stage-1 model keeps
its optimizer, its history and its trainable flags; only the head's weights are new afterwards.

    cRT     new weights v, b of the head          (Kang et al. 2020; CC-SAM and GCL continue them)
    LWS     scales: z_c = f_c (h v_c + b_c), f only                          (Kang et al. 2020)
    MisLAS  both, v and b at a smaller rate than f                          (Zhong et al. 2021)

The scales are folded into the head at the end: v_c <- f_c v_c, b_c <- f_c b_c.
"""

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

import keras

from keras_ccsam.heads import Scaled
from keras_ccsam.second_stage.features import FeatureBatches, extract_features
from keras_ccsam.second_stage.retraining_model import RetrainingModel
from keras_ccsam.second_stage.retraining_options import check_model, resampled
from keras_ccsam.sharpness.adversarial_features import AdversarialFeatures
from keras_ccsam.sharpness.erm import ERM
from keras_ccsam.training.model import SharpnessAwareModel


class _AlphaRamp(keras.callbacks.Callback):
    """alpha = min(alpha_max, (e + 1) / E2) at epoch e of E2."""

    def __init__(self, variable: keras.Variable, epochs: int, alpha_max: float) -> None:
        super().__init__()
        self._variable, self._epochs, self._alpha_max = variable, epochs, alpha_max

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._variable.assign(min(self._alpha_max, (epoch + 1) / self._epochs))


def retrain_classifier(
    model: SharpnessAwareModel,
    train: Any,
    *,
    epochs: int = 30,
    class_counts: Sequence[int] | None = None,
    learn: str = "classifier",
    lr_factor: float = 1.0,
    adversarial: bool = True,
    strength: float = 1.0,
    radius_weights: bool = True,
    loss_weights: bool = False,
    alpha_max: float = 1.0,
    weight_divisor: float = 2.0,
    reinitialize_head: bool = False,
    batch_norm: str = "frozen",
    sampler: str = "class_balanced",
    images_per_class: int = 1,
    augment: Any = (),
    mixup: float = 0.0,
    batch_size: int | None = None,
    optimizer: Any = None,
    loss: Any = None,
    weight_decay: float = 0.0,
    metrics: Sequence[Any] = ("accuracy",),
    verbose: Any = 0,
    callbacks: Sequence[Any] = (),
) -> keras.callbacks.History:
    """Trains the head of `model` again, in place, on class-balanced batches.

    The same weights, data and seed (that of `train`; Keras' own where the head is drawn anew) give
    the same head.

    Args:
        model: a trained `SharpnessAwareModel`.
        train: its training data, a `data.BatchSequence`.
        epochs: E2, 30 by default.
        class_counts: n_c; those of `train` by default.
        learn: `"classifier"`, the head's own weights, by default; `"scales"`, one factor a class on
            the logits of a held head (LWS); or `"both"` (MisLAS). The last two need a
            `keras.layers.Dense`, and it is one afterwards: the scales are folded into it.
        lr_factor: with `"both"`, the head's own weights learn at this many times the optimizer's
            rate, the scales at all of it. 1 by default; 0.05 to 0.5 in MisLAS. Another than 1
            multiplies gradients, weight decay included, and so needs SGD (with or without
            momentum) that neither clips nor decays by itself.
        adversarial: on CC-SAM's adversarial features, with alpha = min(alpha_max, (e + 1) / E2)
            at epoch e; else plain. True by default, whatever `learn` is.
        strength, radius_weights, loss_weights, weight_divisor: of `sharpness.AdversarialFeatures`.
            `loss_weights=True` with `alpha_max=1` is the published setting; it collapses on the
            head classes at its last epochs (see there).
        alpha_max: 1 (published for CIFAR-10) by default; 0.3 for CIFAR-100.
        reinitialize_head: draw the head anew first, as decoupled training's cRT does. CC-SAM,
            MisLAS and GCL go on from stage 1: False by default.
        batch_norm: `"frozen"` or `"update"`; see `RetrainingModel`. `"update"` is MisLAS' shifted
            BatchNorm, on for all its data sets but CIFAR-10.
        sampler: of `data.BatchSequence`; `"class_balanced"` by default, `"inverse_frequency"` in
            GCL.
        images_per_class: images that `"class_balanced"` takes each time it visits a class. 1 by
            default, as in CC-SAM; 4 in decoupling and MisLAS.
        augment: augmentations of the images, as in `data.BatchSequence`; `"default"` for the
            set's own. Without any, without mixup, and with a frozen BatchNorm, the features are
            computed once.
        mixup: alpha of the Beta distribution; the images are mixed. 0, none, by default, whatever
            `train` has; 1 in GCL.
        batch_size: that of `train` by default.
        optimizer: a fresh Keras optimizer, with a schedule or not; SGD(0.01, momentum=0.9) by
            default. One that has trained before is replaced by a fresh one of its config.
        loss: a Keras loss or its name, that of `model.compile` by default. The model keeps its own
            for `evaluate`.
        weight_decay: torch's, on whatever is trained. 0 by default.
        metrics, verbose, callbacks: of `keras.Model.fit`.

    Returns:
        The stage's history.

    Raises:
        ValueError: for an option outside its range, a `train` that cannot be resampled, or a head,
            a loss or an optimizer that does not suit `learn`.
    """
    check_model(model, learn, loss)
    batches = check_options(
        train,
        epochs=epochs,
        learn=learn,
        lr_factor=lr_factor,
        adversarial=adversarial,
        strength=strength,
        alpha_max=alpha_max,
        weight_divisor=weight_divisor,
        reinitialize_head=reinitialize_head,
        batch_norm=batch_norm,
        sampler=sampler,
        images_per_class=images_per_class,
        augment=augment,
        mixup=mixup,
        batch_size=batch_size,
        optimizer=optimizer,
    )
    counts = class_counts if class_counts is not None else train.class_counts
    method = AdversarialFeatures(
        counts, strength, radius_weights, loss_weights, weight_divisor, alpha=0.0
    )
    if reinitialize_head:
        reinitialize(model.head)

    backbone: Any = model.backbone
    if not augment and not mixup and batch_norm == "frozen":
        images, labels = train.arrays()
        size = getattr(batches, "batch_size", None)
        batches = FeatureBatches(batches, extract_features(model, images, size), labels)
        backbone = keras.layers.Identity(name="features")
        backbone.build((None, model.backbone.compute_output_shape(images.shape)[-1]))
    stage = RetrainingModel(
        backbone,
        model.head if learn == "classifier" else Scaled(model.head),
        method if adversarial else ERM(),
        batch_norm=batch_norm,
        learn=learn,
        lr_factor=lr_factor,
        weight_decay=weight_decay,
    )
    stage.compile(
        optimizer=_fresh(optimizer),
        loss=_loss_of(model) if loss is None else loss,
        metrics=list(metrics),
    )
    ramp = [_AlphaRamp(stage.hyper_parameters.alpha, epochs, alpha_max)] if adversarial else []
    history = stage.fit(batches, epochs=epochs, verbose=verbose, callbacks=[*ramp, *callbacks])
    if isinstance(stage.head, Scaled):
        stage.head.fold()
    # A loss may scale the logits; the model's are now those of this one.
    if stage.logit_scale != model.logit_scale:
        model.logit_scale = stage.logit_scale
    return history


def check_options(train: Any, **options: Any) -> Any:
    """The resampled batches of stage 2, if its options are sound.

    Args:
        train: the training data.
        **options: of `retrain_classifier`.

    Raises:
        ValueError: for an unknown option, one outside its range, or a `train` that cannot be
            resampled.
    """
    known = list(inspect.signature(retrain_classifier).parameters)[2:]
    for name in options:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = (
                f"Did you mean {close[0]!r}?" if close else f"the options are {', '.join(known)}."
            )
            raise ValueError(f"There is no option {name!r}. {hint} Received: {name}=")
    return resampled(train, **options)


def _loss_of(model: SharpnessAwareModel) -> Any:
    """The compiled one, which `check_model` has seen."""
    return model.sample_loss and model.sample_loss.loss


def _fresh(optimizer: Any) -> Any:
    """The optimizer, or one of the same config where its slots belong to other variables."""
    if optimizer is None:
        return keras.optimizers.SGD(0.01, momentum=0.9)
    if getattr(optimizer, "built", False):
        return type(optimizer).from_config(optimizer.get_config())
    return optimizer


def reinitialize(layer: Any) -> None:
    """Draws a built layer's weights anew from its own initialisers."""
    fresh = type(layer).from_config(layer.get_config())
    fresh.build(tuple(layer.get_build_config()["input_shape"]))
    layer.set_weights(fresh.get_weights())
