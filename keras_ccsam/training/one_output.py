"""Two classes told apart by one output: what Keras would take for something else."""

from typing import Any

import keras

from keras_ccsam import heads
from keras_ccsam.losses.loss import LogitLoss


def check_one_output(loss: Any, head: keras.Layer) -> None:
    """Refuses what compares the outputs of several classes: of one output it is a constant.

    Args:
        loss: the loss to compile, or None.
        head: with one output or more, for which everything is right.

    Raises:
        ValueError: for a categorical loss, one of this package's, or a softmax.
    """
    if heads.num_outputs(head) != 1:
        return
    if heads.activation(head) is keras.activations.softmax:
        raise ValueError(
            "A softmax of one output is always 1: give the head a sigmoid or no activation, or two "
            "units. Received: head with units=1 and activation='softmax'"
        )
    name: str = getattr(loss, "__name__", None) or type(loss).__name__
    if isinstance(loss, LogitLoss) or "categorical" in name.lower():
        raise ValueError(
            f"{name} compares the outputs of the classes, so it needs one per class, also for two: "
            "use loss='binary_crossentropy', or give the model a Dense(2) head. "
            f"Received: loss={name} and a head with units=1"
        )


def binary_accuracy(metrics: Any, head: keras.Layer) -> Any:
    """The metrics, in which "accuracy" of a single logit predicts the positive class above 0.

    By that name Keras would compare it with 0.5, the threshold of a probability.

    Args:
        metrics: of `compile`.
        head: with other outputs than one logit the metrics stay as they are.
    """
    if metrics is None or heads.num_outputs(head) != 1 or not heads.puts_out_logits(head):
        return metrics

    def resolved(metric: Any) -> Any:
        if isinstance(metric, str) and metric.lower() in ("accuracy", "acc"):
            return keras.metrics.BinaryAccuracy(name=metric, threshold=0.0)
        return metric

    return keras.tree.map_structure(resolved, metrics)
