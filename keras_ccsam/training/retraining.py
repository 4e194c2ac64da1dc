"""Stage 2: the head alone is trained again, on the features of a frozen backbone.

The stage runs in a small model of its own over the same two layers, so the stage-1 model keeps
its optimizer, its history and its trainable flags; only the head's weights are new afterwards.
"""

import difflib
import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_ccsam.sharpness.adversarial_features import AdversarialFeatures
from keras_ccsam.sharpness.erm import ERM
from keras_ccsam.sharpness.method import SharpnessMethod, require
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.typing import Tensor


@keras.saving.register_keras_serializable(package="keras_ccsam")
class RetrainingModel(SharpnessAwareModel):
    """A backbone that is held, and a head that is trained.

    Args:
        backbone: of the stage-1 model, or an `Identity` layer where features are the inputs.
        head: of the stage-1 model.
        sharpness: how the head's gradient is formed; `ERM()` is plain cRT.
        batch_norm: `"frozen"` runs the backbone in inference mode; `"update"` in training mode,
            so that BatchNorm's statistics follow the balanced batches (and dropout is on), as the
            published codes do.
        **kwargs: of `SharpnessAwareModel`.

    Raises:
        ValueError: for another `batch_norm`.
    """

    def __init__(
        self,
        backbone: Any,
        head: Any,
        sharpness: SharpnessMethod | None = None,
        *,
        batch_norm: str = "frozen",
        **kwargs: Any,
    ) -> None:
        require(batch_norm in ("frozen", "update"), "batch_norm", batch_norm, "frozen or update")
        self.batch_norm = batch_norm
        super().__init__(backbone, head, sharpness, **kwargs)

    def call(self, inputs: Any, training: bool | None = None, return_features: bool = False) -> Any:
        """As its base, with features that carry no gradient."""
        updating = bool(training) and self.batch_norm == "update"
        features = ops.stop_gradient(self.backbone(inputs, training=updating))
        outputs = self.head(features, training=training)
        return (outputs, features) if return_features else outputs

    @property
    def trainable_variables(self) -> list[keras.Variable]:
        """The head's. No layer's `trainable` is touched: the stage-1 model shares these layers."""
        return list(self.head.trainable_variables)

    @property
    def non_trainable_variables(self) -> list[keras.Variable]:
        """Everything else."""
        trained = {id(v) for v in self.head.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    @property
    def trainable_weights(self) -> list[keras.Variable]:
        """The head's."""
        return list(self.head.trainable_weights)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "batch_norm": self.batch_norm}


class _AlphaRamp(keras.callbacks.Callback):
    """alpha = min(alpha_max, (e + 1) / E2) at epoch e of E2."""

    def __init__(self, variable: keras.Variable, epochs: int, alpha_max: float) -> None:
        super().__init__()
        self._variable, self._epochs, self._alpha_max = variable, epochs, alpha_max

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._variable.assign(min(self._alpha_max, (epoch + 1) / self._epochs))


class _Features(keras.utils.PyDataset):
    """The batches of another dataset's plan, with features in place of images."""

    def __init__(self, sequence: Any, features: Tensor, labels: Tensor) -> None:
        super().__init__(workers=1)
        self._sequence, self._features, self._labels = sequence, features, labels

    def __len__(self) -> int:
        return len(self._sequence)

    def __getitem__(self, step: int) -> tuple[Any, Any]:
        rows = self._sequence.rows(step)
        return self._features[rows], self._labels[rows]

    def set_epoch(self, epoch: int) -> None:
        """Passes the epoch on."""
        self._sequence.set_epoch(epoch)


def retrain_classifier(
    model: SharpnessAwareModel,
    train: Any,
    *,
    epochs: int = 30,
    class_counts: Sequence[int] | None = None,
    adversarial: bool = True,
    strength: float = 1.0,
    radius_weights: bool = True,
    loss_weights: bool = False,
    alpha_max: float = 1.0,
    weight_divisor: float = 2.0,
    reinitialize_head: bool = False,
    batch_norm: str = "frozen",
    sampler: str = "class_balanced",
    augment: Any = (),
    batch_size: int | None = None,
    optimizer: Any = None,
    loss: Any = None,
    weight_decay: float = 0.0,
    metrics: Sequence[Any] = ("accuracy",),
    verbose: Any = 0,
    callbacks: Sequence[Any] = (),
) -> keras.callbacks.History:
    """Trains the head of `model` again, in place, on class-balanced batches.

    Args:
        model: a trained `SharpnessAwareModel`.
        train: its training data, a `data.BatchSequence`.
        epochs: E2, 30 by default.
        class_counts: n_c; those of `train` by default.
        adversarial: on CC-SAM's adversarial features, with alpha = min(alpha_max, (e + 1) / E2)
            at epoch e; else plain cRT.
        strength, radius_weights, loss_weights, weight_divisor: of `sharpness.AdversarialFeatures`.
            `loss_weights=True` with `alpha_max=1` is the published setting; it collapses on the
            head classes at its last epochs (see there).
        alpha_max: 1 (published for CIFAR-10) by default; 0.3 for CIFAR-100.
        reinitialize_head: draw the head anew first, as decoupled training's cRT does. CC-SAM
            goes on from stage 1: False by default.
        batch_norm: `"frozen"` or `"update"`; see `RetrainingModel`.
        sampler: of `data.BatchSequence`; `"class_balanced"` by default.
        augment: augmentations of the images, as in `data.BatchSequence`; `"default"` for the
            set's own. Without any, and with a frozen BatchNorm, the features are computed once.
        batch_size: that of `train` by default.
        optimizer: a fresh Keras optimizer; SGD(0.01, momentum=0.9) by default.
        loss: that of `model.compile` by default.
        weight_decay: torch's, on the head. 0 by default.
        metrics, verbose, callbacks: of `keras.Model.fit`.

    Returns:
        The stage's history.

    Raises:
        ValueError: for an option outside its range, or a `train` that cannot be resampled.
    """
    check_model(model)
    batches = check_options(
        train,
        epochs=epochs,
        adversarial=adversarial,
        strength=strength,
        alpha_max=alpha_max,
        weight_divisor=weight_divisor,
        batch_norm=batch_norm,
        sampler=sampler,
        augment=augment,
        batch_size=batch_size,
    )
    counts = class_counts if class_counts is not None else train.class_counts
    method = AdversarialFeatures(
        counts, strength, radius_weights, loss_weights, weight_divisor, alpha=0.0
    )
    if reinitialize_head:
        reinitialize(model.head)

    backbone: Any = model.backbone
    if not augment and batch_norm == "frozen":
        images, labels = train.arrays()
        size = getattr(batches, "batch_size", None)
        batches = _Features(batches, extract_features(model, images, size), labels)
        backbone = keras.layers.Identity(name="features")
        backbone.build((None, model.backbone.compute_output_shape(images.shape)[-1]))
    stage = RetrainingModel(
        backbone,
        model.head,
        method if adversarial else ERM(),
        batch_norm=batch_norm,
        weight_decay=weight_decay,
    )
    if optimizer is None:
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    if loss is None:
        loss = model.sample_loss.loss
    stage.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    ramp = [_AlphaRamp(method.alpha, epochs, alpha_max)] if adversarial else []
    return stage.fit(batches, epochs=epochs, verbose=verbose, callbacks=[*ramp, *callbacks])


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
    epochs, alpha_max = options.get("epochs", 30), options.get("alpha_max", 1.0)
    batch_norm = options.get("batch_norm", "frozen")
    require(isinstance(epochs, int) and epochs >= 1, "epochs", epochs, "a whole number from 1 on")
    require(0 <= alpha_max <= 1, "alpha_max", alpha_max, "between 0 and 1")
    require(batch_norm in ("frozen", "update"), "batch_norm", batch_norm, "frozen or update")
    require(options.get("strength", 1.0) >= 0, "strength", options.get("strength"), "at least 0")
    divisor = options.get("weight_divisor", 2.0)
    require(divisor > 0, "weight_divisor", divisor, "positive")
    if not hasattr(train, "with_options"):
        raise ValueError(
            "`train` must be a keras_ccsam.data.BatchSequence, which can be resampled class by "
            "class; make one of arrays with data.from_arrays(x, y).train. "
            f"Received: train={type(train).__name__}"
        )
    if train.split != "train":
        raise ValueError(
            "`train` must be the training part of the data. "
            f"Received: train of split={train.split!r}"
        )
    size = options.get("batch_size")
    return train.with_options(
        sampler=options.get("sampler", "class_balanced"),
        augment=options.get("augment", ()),
        mixup=0.0,
        epochs=epochs,
        deferred_sampler=None,
        deferred_from=0,
        **({} if size is None else {"batch_size": size}),
    )


def check_model(model: Any) -> None:
    """Raises ValueError for a model that is not a compiled `SharpnessAwareModel`."""
    if not isinstance(model, SharpnessAwareModel) or model.sample_loss is None:
        raise ValueError(
            "Only a compiled SharpnessAwareModel (CCSAM is one) has a head to retrain; make one of "
            f"a Keras classifier with CCSAM.from_model. Received: model={model!r}"
        )


def extract_features(
    model: SharpnessAwareModel, images: np.ndarray, batch_size: int | None = None
) -> np.ndarray:
    """(N, D) features of images, in inference mode."""
    inputs = keras.Input(shape=images.shape[1:])
    extractor = keras.Model(inputs, model.backbone(inputs))
    features: np.ndarray = extractor.predict(images, batch_size=batch_size or 128, verbose=0)
    return features


def reinitialize(layer: Any) -> None:
    """Draws a built layer's weights anew from its own initialisers."""
    fresh = type(layer).from_config(layer.get_config())
    fresh.build(tuple(layer.get_build_config()["input_shape"]))
    layer.set_weights(fresh.get_weights())
