"""What a second stage can be asked for, checked before the first one is trained."""

from typing import Any

import keras

from keras_ccsam.checks import require
from keras_ccsam.heads import is_plain_dense, puts_out_logits
from keras_ccsam.training.model import SharpnessAwareModel
from keras_ccsam.training.sample_loss import resolve_loss

LEARN = ("classifier", "scales", "both")


def check_model(model: Any, learn: str = "classifier", loss: Any = None) -> None:
    """Whether the model has a head that can be retrained so.

    Args:
        model: compiled, built or not.
        learn: of `retrain_classifier`.
        loss: of `retrain_classifier`.

    Raises:
        ValueError: for a model that is not a compiled `SharpnessAwareModel`, a head that cannot be
            scaled, or a loss that does not suit its outputs.
    """
    if not isinstance(model, SharpnessAwareModel) or model.sample_loss is None:
        raise ValueError(
            "Only a compiled SharpnessAwareModel (CCSAM is one) has a head to retrain; make one of "
            f"a Keras classifier with CCSAM.from_model. Received: model={model!r}"
        )
    if learn != "classifier" and not is_plain_dense(model.head):
        raise ValueError(
            f"learn={learn!r} scales the logits class by class and folds the scales into the head "
            "afterwards; only a plain keras.layers.Dense can take them. "
            f"Received: head={model.head!r}"
        )
    resolve_loss(loss, puts_out_logits(model.head))


def check_rates(learn: str, lr_factor: float, optimizer: Any = None) -> None:
    """Whether the head's own weights can learn at `lr_factor` times the rate of the scales.

    Args:
        learn: one of `LEARN`.
        lr_factor: above 0.
        optimizer: what `compile` takes; None where it is not known yet.

    Raises:
        ValueError: if they cannot.
    """
    require(learn in LEARN, "learn", learn, f"one of {', '.join(LEARN)}")
    require(lr_factor > 0, "lr_factor", lr_factor, "positive")
    if lr_factor == 1:
        return
    require(learn == "both", "lr_factor", lr_factor, f"1 with learn={learn!r}: one rate for all")
    if optimizer is None:
        return
    optimizer = keras.optimizers.get(optimizer)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)  # below a loss scale
    if not isinstance(optimizer, keras.optimizers.SGD):
        raise ValueError(
            "With an lr_factor other than 1 the optimizer must be a keras.optimizers.SGD, in which "
            "a multiple of the gradient is the same multiple of the rate. "
            f"Received: optimizer={type(optimizer).__name__}, lr_factor={lr_factor}"
        )
    for name in ("clipnorm", "global_clipnorm", "clipvalue", "weight_decay"):
        if getattr(optimizer, name, None):
            raise ValueError(
                "With an lr_factor other than 1 the optimizer must neither clip gradients nor "
                "decay weights itself, since it sees only the multiplied gradients; use the "
                f"stage's own `weight_decay`. Received: {name}={getattr(optimizer, name)}, "
                f"lr_factor={lr_factor}"
            )


def resampled(train: Any, **options: Any) -> Any:
    """The resampled batches of stage 2, if its options are sound.

    Args:
        train: the training data.
        **options: of `retrain_classifier`; its defaults hold for those left out.

    Raises:
        ValueError: for an option outside its range, or a `train` that cannot be resampled.
    """
    learn, epochs = options.get("learn", "classifier"), options.get("epochs", 30)
    alpha_max = options.get("alpha_max", 1.0)
    batch_norm = options.get("batch_norm", "frozen")
    require(isinstance(epochs, int) and epochs >= 1, "epochs", epochs, "a whole number from 1 on")
    require(0 <= alpha_max <= 1, "alpha_max", alpha_max, "between 0 and 1")
    require(batch_norm in ("frozen", "update"), "batch_norm", batch_norm, "frozen or update")
    require(options.get("strength", 1.0) >= 0, "strength", options.get("strength"), "at least 0")
    divisor = options.get("weight_divisor", 2.0)
    require(divisor > 0, "weight_divisor", divisor, "positive")
    check_rates(learn, options.get("lr_factor", 1.0), options.get("optimizer"))
    if learn == "scales" and options.get("reinitialize_head", False):
        raise ValueError(
            "learn='scales' holds the kernel and the bias that stage 1 has learnt, so they must "
            "not be drawn anew. Received: reinitialize_head=True"
        )
    check_training_part(train)
    size = options.get("batch_size")
    return train.with_options(
        sampler=options.get("sampler", "class_balanced"),
        images_per_class=options.get("images_per_class", 1),
        augment=options.get("augment", ()),
        mixup=options.get("mixup", 0.0),
        epochs=epochs,
        deferred_sampler=None,
        deferred_from=0,
        **({} if size is None else {"batch_size": size}),
    )


def check_training_part(train: Any) -> None:
    """Raises ValueError unless `train` is the training part of a `BatchSequence`."""
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
