"""The compiled loss, sample by sample.

Class gradients are taken of single samples' losses, which Keras' `compute_loss` has already
reduced. This reads the same loss before its reduction.
"""

import inspect
import random
from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from keras_ccsam.labels import is_mixed
from keras_ccsam.losses.loss import one_hot_targets
from keras_ccsam.sharpness.global_batch import GlobalBatch
from keras_ccsam.typing import Tensor

# What a loss that draws has drawn for one pass, once for each label of a sample.
Noise = tuple[Tensor, ...]
# Outputs as the loss sees them: one tensor, or one for each label of a mixed sample.
Seen = Tensor | tuple[Tensor, Tensor]

_REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")


def resolve_loss(loss: Any, outputs_logits: bool) -> Any:
    """The loss to compile, with logits and probabilities told apart.

    Keras takes the name of a cross-entropy for a loss on probabilities. Where the model puts out
    logits, the name means the same loss on logits here.

    Args:
        loss: what the user passed to `compile`.
        outputs_logits: whether the model's outputs are logits.

    Raises:
        ValueError: if a loss object expects probabilities and the model puts out logits, or the
            other way round; or if there is not exactly one loss with a reduction.
    """
    if loss is None:
        return None
    if isinstance(loss, (dict, list, tuple)) and not (
        isinstance(loss, dict) and "class_name" in loss
    ):
        raise ValueError(
            "A sharpness-aware model has one output and takes one loss, not several. "
            f"Received: loss={loss!r}"
        )
    resolved = keras.losses.get(loss)
    if isinstance(loss, str) and outputs_logits:
        resolved = _on_logits(resolved)
    if isinstance(resolved, keras.losses.Loss):
        _check(resolved, outputs_logits)
    return resolved


def _on_logits(loss: Any) -> Any:
    """The same loss with `from_logits=True`, if it has that argument."""
    if inspect.isfunction(loss):
        if "from_logits" not in inspect.signature(loss).parameters:
            return loss
        name = "".join(word.capitalize() for word in loss.__name__.split("_"))
        return getattr(keras.losses, name)(from_logits=True)
    config = loss.get_config()
    if "from_logits" not in config:
        return loss
    return type(loss).from_config({**config, "from_logits": True})


def _check(loss: keras.losses.Loss, outputs_logits: bool) -> None:
    from_logits = loss.get_config().get("from_logits", getattr(loss, "from_logits", None))
    if from_logits is not None and bool(from_logits) != outputs_logits:
        have, want = ("logits", True) if outputs_logits else ("probabilities", False)
        way_out = f"so the loss must have from_logits={want}"
        if not outputs_logits and "from_logits" not in inspect.signature(type(loss)).parameters:
            way_out = "and this loss takes logits: leave the softmax out of the head"
        raise ValueError(
            f"The model's outputs are {have}, {way_out}. "
            f"Received: loss={type(loss).__name__} with from_logits={from_logits}"
        )
    if loss.reduction not in _REDUCTIONS:
        raise ValueError(
            f"The loss must reduce a batch to a scalar, by one of {_REDUCTIONS}. "
            f"Received: reduction={loss.reduction!r}"
        )


def check_head(loss: Any, head: keras.Layer) -> None:
    """Refuses a loss on cosines, which owns their scale, over a head that gives anything else.

    With a head that scales as well, or with unbounded logits, a margin of 0.5 is another one (of up
    to 15 logits), and the loss would train without a word.

    Raises:
        ValueError: if `loss` takes cosines and `head` is no cosine head of scale 1.
    """
    if not getattr(loss, "takes_cosines", False):
        return
    scale = getattr(head, "scale", None)
    if scale is None or float(scale) != 1.0:
        given = "logits" if scale is None else f"cosines times {float(scale):g}"
        raise ValueError(
            f"{type(loss).__name__} takes cosines and multiplies them with its own scale "
            f"({loss.scale:g}): its head must be heads.Cosine(units, scale=1.0), and this one "
            f"gives {given}. Received: head={type(head).__name__}"
        )


class SampleLoss:
    """The compiled loss of each sample, its reduction, and what it draws at random.

    A loss that draws noise defines `noise(shape, seed)` and `with_noise(outputs, noise)`, as
    `losses.GCL` does. One that divides by a mean over the batch says of what by
    `row_weights(one-hot rows)`, as `losses.ClassBalanced` does: on several replicas the mean is the
    global batch's.

    Args:
        loss: a `keras.losses.Loss`, or a function of `(y_true, y_pred)` that returns one loss per
            sample.
        seeds: the model's generator for a loss that draws; it is seeded where there is one.
    """

    def __init__(self, loss: Any, seeds: keras.random.SeedGenerator) -> None:
        self.loss = loss
        is_object = isinstance(loss, keras.losses.Loss)
        self._call: Callable[[Tensor, Tensor], Tensor] = loss.call if is_object else loss
        self.dtype = loss.dtype if is_object else keras.config.floatx()
        self.reduction = loss.reduction if is_object else "sum_over_batch_size"
        self._seeds = seeds
        self._draws = hasattr(loss, "noise")
        if self._draws:
            # As SeedGenerator(None) does: `keras.utils.set_random_seed` seeds this generator.
            seeds.state.assign([random.randint(1, int(1e9)), 0])

    def draw(self, outputs: Tensor, y: Any, batch: GlobalBatch | None = None) -> Noise:
        """What the loss draws for one training pass; nothing for one without randomness.

        Under mixup it draws for each of the two labels, as codes do that call it once for each.

        Args:
            outputs: (b, K).
            y: the targets.
            batch: on several replicas, that for all of whose rows each of them draws.
        """
        draws = (2 if is_mixed(y) else 1) if self._draws else 0
        if batch is None:
            return tuple(self.loss.noise(ops.shape(outputs), self._seeds) for _ in range(draws))
        shape = (batch.size, outputs.shape[-1])
        return tuple(batch.own(self.loss.noise(shape, self._seeds)) for _ in range(draws))

    def seen(self, outputs: Tensor, noise: Noise) -> Seen:
        """The outputs as the loss sees them while training."""
        if not noise:
            return outputs
        seen = tuple(self.loss.with_noise(outputs, drawn) for drawn in noise)
        return (seen[0], seen[1]) if len(seen) > 1 else seen[0]

    def values(
        self,
        y: Any,
        y_pred: Seen,
        sample_weight: Tensor | None = None,
        factors: Any = None,
    ) -> Tensor:
        """(B,) losses times weights; with mixup, of the two labels in their shares.

        Args:
            y: labels, `y_pred` the outputs as the loss sees them, `sample_weight` (B,) or None.
            factors: of `batch_factors`, on several replicas.
        """
        first, second = of_each_label(y_pred)
        if is_mixed(y):
            mix = ops.cast(y["mix"], self.dtype)
            one, two = (None, None) if factors is None else factors
            of_first = self.values(y["labels"], first, sample_weight, one)
            of_second = self.values(y["second_labels"], second, sample_weight, two)
            return mix * of_first + (1.0 - mix) * of_second
        predictions = ops.convert_to_tensor(first, dtype=self.dtype)
        targets = ops.convert_to_tensor(y, dtype=self.dtype)
        if len(targets.shape) == 1 and predictions.shape[-1] == 1:
            targets = targets[:, None]  # a function would set each label against every output
        losses = self._call(targets, predictions)
        if len(losses.shape) > 1:
            losses = ops.mean(losses, axis=tuple(range(1, len(losses.shape))))
        if factors is not None:
            losses = losses * factors
        if sample_weight is not None:
            losses = losses * self._weights(sample_weight)
        return losses

    def batch_factors(self, y: Any, outputs: int, batch: GlobalBatch) -> Any:
        """What turns a mean over these rows, by which the loss divides, into the global batch's.

        Args:
            y: labels of these rows.
            outputs: K.
            batch: of all replicas.

        Returns:
            A scalar, two of them with mixup; None for a loss that does not divide by one.
        """
        if not hasattr(self.loss, "row_weights"):
            return None
        if is_mixed(y):
            return tuple(
                self.batch_factors(y[key], outputs, batch) for key in ("labels", "second_labels")
            )
        weights = self.loss.row_weights(one_hot_targets(y, outputs, self.dtype))
        (total,) = batch.total([ops.sum(weights)])
        return ops.mean(weights) / (total / ops.cast(batch.size, weights.dtype))

    def reduce(
        self, losses: Tensor, sample_weight: Tensor | None = None, divisor: Tensor | None = None
    ) -> Tensor:
        """The scalar that the loss's own reduction makes of weighted losses (B,).

        Args:
            losses: weighted.
            sample_weight: the weights.
            divisor: of the sum, where these rows are a part of the batch that is meant.
        """
        total = ops.sum(losses)
        if self.reduction == "sum":
            return total
        if divisor is None:
            divisor = self.divisor(ops.shape(losses)[0], sample_weight)
        return total / ops.cast(divisor, losses.dtype)

    def divisor(self, rows: Tensor | int, sample_weight: Tensor | None) -> Tensor | int:
        """What the reduction divides by: the number of rows, or the sum of their weights."""
        if self.reduction == "mean_with_sample_weight" and sample_weight is not None:
            return ops.sum(self._weights(sample_weight))
        return rows

    def _weights(self, sample_weight: Tensor) -> Tensor:
        return ops.reshape(ops.cast(sample_weight, self.dtype), (-1,))


def check_mixed(sample_loss: SampleLoss | None) -> SampleLoss:
    """The loss. Raises ValueError for one that mixup targets do not fit."""
    if sample_loss is None or sample_loss.reduction == "mean_with_sample_weight":
        raise ValueError(
            "Mixup targets need a loss whose reduction is 'sum_over_batch_size' or 'sum'. "
            f"Received: reduction={sample_loss and sample_loss.reduction!r}"
        )
    return sample_loss


def of_each_label(seen: Seen) -> tuple[Tensor, Tensor]:
    """Outputs as the loss of a mixed sample's first and second label sees them."""
    return seen if isinstance(seen, tuple) else (seen, seen)


def mixed_loss(
    compute_loss: Callable[..., Tensor],
    sample_loss: SampleLoss | None,
    x: Any,
    y: Any,
    y_pred: Seen,
    sample_weight: Tensor | None,
) -> Tensor:
    """Keras' loss of a mixed batch: of both labels in their shares, the added losses once.

    Args:
        compute_loss: `keras.Model.compute_loss`.
        sample_loss: the compiled loss.
        x: the batch, `y` its mixup target, `y_pred` its outputs as `SampleLoss.seen` gives them,
            `sample_weight` (B,) or None.

    Raises:
        ValueError: for a loss that divides by the sum of the weights.
    """
    sample_loss = check_mixed(sample_loss)
    mix = y["mix"]
    weight = 1.0 if sample_weight is None else sample_weight
    first, second = of_each_label(y_pred)
    of_first = compute_loss(x, y["labels"], first, weight * mix, True)
    of_second = sample_loss.values(y["second_labels"], second, weight * (1.0 - mix))
    return of_first + sample_loss.reduce(of_second)
