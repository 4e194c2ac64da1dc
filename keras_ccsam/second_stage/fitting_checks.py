"""Whether a model and a part of the data suit what follows training; asked before it is trained."""

import keras

from keras_ccsam.heads import plain_dense
from keras_ccsam.training.model import SharpnessAwareModel


def check_sharpness_aware(model: object) -> SharpnessAwareModel:
    """The model, if it has a backbone and a head to tell apart.

    Raises:
        ValueError: if it is no `SharpnessAwareModel`.
    """
    if not isinstance(model, SharpnessAwareModel):
        raise ValueError(
            "`model` must be a SharpnessAwareModel (CCSAM is one); make one of a Keras classifier "
            f"with CCSAM.from_model. Received: model={model!r}"
        )
    return model


def check_plain_dense(model: object, reason: str) -> keras.layers.Dense:
    """The plain `keras.layers.Dense` of a model's head, with or without an activation after it.

    Args:
        model: whatever the user gave.
        reason: why it must be one, a sentence.

    Raises:
        ValueError: if the head is another one, or has one output for two classes.
    """
    head = check_sharpness_aware(model).head
    dense = plain_dense(head)
    if dense is None:
        raise ValueError(f"{reason} Received: head={head!r}")
    if dense.units == 1:
        raise ValueError(
            f"{reason} A head with one output has a single column for both of its classes, so that "
            f"there is nothing to compare: give the model a Dense(2) head. Received: head={head!r}"
        )
    return dense


def check_trainable(head: keras.Layer) -> None:
    """Refuses a head of which no weight is trained, with a `ValueError`; built or not."""
    if not head.trainable or (head.built and not head.trainable_variables):
        raise ValueError(
            "The head is frozen, so that a second stage would train nothing: set "
            f"model.head.trainable = True. Received: head={head.name!r} with trainable="
            f"{head.trainable}"
        )


def check_split(data: object, *allowed: str, reason: str) -> None:
    """Refuses another part of a data set than the allowed ones; arrays belong to none.

    Args:
        data: a `data.BatchSequence`, or anything without a `split`.
        *allowed: "train", "validation".
        reason: why, a sentence.

    Raises:
        ValueError: if it is another part.
    """
    split = getattr(data, "split", None)
    if split is not None and split not in allowed:
        raise ValueError(f"{reason} Received: data of split={split!r}")
