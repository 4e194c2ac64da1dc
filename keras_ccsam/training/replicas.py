"""What a step does when it is one replica's of several: its share of the loss, and the sums.

    loss       sum over a replica's rows, divided by what the global batch is divided by
    added      regularisers and add_loss terms times b / B: exact for means over the rows, and for
               what depends on weights alone
    gradients  summed, after the step parts have acted on the shares; the optimizer sees the sum
    state      BatchNorm's statistics and other real numbers that a pass writes: their mean
    metrics    of the rows of all replicas

With one replica none of it is in the step.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.sharpness.objective import Evaluation
from keras_ccsam.training.trainee import Trainee
from keras_ccsam.typing import Tensor


def global_batch(
    model: Trainee, x: Any, sample_weight: Tensor | None
) -> tuple[GlobalBatch, Tensor | None]:
    """The batch of all replicas, and what its loss is divided by; None where it is divided by none.

    Args:
        model: in training.
        x: the inputs of this replica's rows.
        sample_weight: their weights.
    """
    rows = ops.shape(keras.tree.flatten(x)[0])[0]
    batch = GlobalBatch(rows)
    loss = model.sample_loss
    if loss is None or loss.reduction == "sum":
        return batch, None
    divisor = loss.divisor(rows, sample_weight)
    if divisor is rows:
        return batch, batch.size
    return batch, batch.total([divisor])[0]


def with_added_losses(model: Trainee, own: Tensor | None, batch: GlobalBatch) -> Tensor:
    """A replica's share of the compiled loss, and of what layers and regularisers add to it.

    Args:
        model: in training, inside the pass's scope.
        own: the share of the compiled loss.
        batch: of all replicas.
    """
    share = batch.share
    added = [ops.cast(share, loss.dtype) * loss for loss in model.losses]
    terms = [*([] if own is None else [own]), *added]
    return sum(terms[1:], terms[0]) if terms else ops.zeros(())


def over_all(
    model: Trainee, batch: GlobalBatch, gradients: Sequence[Tensor], evaluation: Evaluation
) -> tuple[list[Tensor], Evaluation]:
    """The gradients for the optimizer, and the evaluation of the global batch, in one message.

    Args:
        model: in training.
        batch: of all replicas.
        gradients: this replica's share.
        evaluation: its clean pass.
    """
    updates = list(evaluation.updates)
    places = [
        place
        for place, new in enumerate(updates[: len(model.non_trainable_variables)])
        if new is not None and "float" in keras.backend.standardize_dtype(new.dtype)
    ]
    sums = not backend.OPTIMIZER_SUMS
    mine = [*gradients] if sums or _clips(model.optimizer) else []
    total = batch.total([*mine, evaluation.loss, *[updates[place] for place in places]])
    for place, new in zip(places, total[len(mine) + 1 :], strict=True):
        updates[place] = new / backend.replica_count()
    evaluation = evaluation._replace(loss=total[len(mine)], updates=updates)
    if not mine:
        return list(gradients), evaluation
    if sums:
        return total[: len(mine)], evaluation
    # Keras clips before it sums: one replica hands over the gradient, the others none of it. What
    # is not finite is so in all.
    first = ops.cast(ops.equal(backend.replica_index(), 0), "float32")
    return [g * ops.cast(first, g.dtype) for g in total[: len(mine)]], evaluation


def _clips(optimizer: Any) -> bool:
    """Whether the optimizer does to gradients what it could not do to their shares."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return any(
        getattr(inner, name, None) is not None
        for name in ("clipnorm", "global_clipnorm", "clipvalue")
    )


def own_scale(batch: GlobalBatch | None, scale: Tensor) -> Tensor:
    """The loss scale of what is yet to be summed over the replicas."""
    return scale if batch is None else scale / backend.replica_count()


def metric_rows(batch: GlobalBatch, *rows: Any) -> list[Any]:
    """What metrics are to see: the rows of all replicas where Keras does not add them up itself.

    Args:
        batch: of all replicas.
        *rows: structures of tensors (b, ...), and None.
    """
    if not backend.METRICS_ARE_LOCAL:
        return list(rows)
    return [None if each is None else keras.tree.map_structure(batch.gather, each) for each in rows]
