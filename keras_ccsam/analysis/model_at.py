"""A model's loss and accuracy of every class over a whole set, at weights that are passed in.

What looks at a trained model from outside (landscapes, the bound, sharpness) asks here: what would
it score at other weights? Nothing is written: not the weights, nor BatchNorm's statistics, nor a
seed. One pass over the set gives every class, so any group of classes is a sum.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.analysis.digest import digest
from keras_ccsam.analysis.weighted_batches import KEPT_BYTES
from keras_ccsam.checks import at_least_float32
from keras_ccsam.data.batches.reading import batch_size_for, in_order, read_in_pieces, size_in_bytes
from keras_ccsam.labels import check_labels
from keras_ccsam.metrics.predictions import two_columns
from keras_ccsam.typing import Tensor


@dataclasses.dataclass(frozen=True)
class ClassTotals:
    """What a pass over a set found, per class.

    Attributes:
        loss: (K,) float64, the sum of the samples' cross-entropies.
        correct: (K,) int64, how many samples are classified rightly.
        count: (K,) int64, how many there are.
    """

    loss: np.ndarray
    correct: np.ndarray
    count: np.ndarray

    def mean_loss(self, classes: Sequence[int] | None = None) -> float:
        """The mean cross-entropy over the samples of these classes, of all without any; or NaN."""
        chosen = slice(None) if classes is None else list(classes)
        count = self.count[chosen].sum()
        return float(self.loss[chosen].sum() / count) if count else float("nan")

    def accuracy(self, classes: Sequence[int] | None = None) -> float:
        """The share of samples of these classes that is classified rightly; or NaN."""
        chosen = slice(None) if classes is None else list(classes)
        count = self.count[chosen].sum()
        return float(self.correct[chosen].sum() / count) if count else float("nan")


class Batch(NamedTuple):
    """Some samples of the set: all batches are of one size, the last one filled up.

    Attributes:
        x: (B, ...) inputs, `y` (B,) int32 labels.
        weight: (B,) 1 for a sample, 0 for what fills up.
    """

    x: Any
    y: Tensor
    weight: Tensor


class ModelAt:
    """A classifier as a pure function of its trainable weights, over one labelled set.

    The network runs as in inference, with BatchNorm's statistics as they are. The loss is
    cross-entropy, whatever the model was trained with: models of different losses can be compared.

    Args:
        model: a built Keras classifier with outputs (B, K), or (B, 1) for class 1 of two. It is
            left as it is.
        x: inputs of the set (N, ...), an array or a structure of arrays.
        y: labels (N,).
        num_classes: K.
        from_logits: whether the outputs are logits.
        batch_size: samples per pass, at most: all passes are of one size, and the last one is
            filled up by less than one sample per pass.

    The set lies on the device from the first pass on, if it has at most 1 GiB.

    Raises:
        ValueError: labels that do not fit, an empty set, or a model without trainable weights.
    """

    def __init__(
        self,
        model: keras.Model,
        x: Any,
        y: Any,
        num_classes: int,
        *,
        from_logits: bool = True,
        batch_size: int = 500,
    ) -> None:
        self.model = model
        self.num_classes = num_classes
        self.from_logits = from_logits
        self.variables: list[keras.Variable] = model.trainable_variables
        if not self.variables:
            raise ValueError(
                "The model must be built and have trainable weights. "
                f"Received: model={model.name!r} without any"
            )
        size = len(keras.tree.flatten(x)[0])
        self.labels: np.ndarray = check_labels(y, "y", size, num_classes).astype("int32")
        if not size:
            raise ValueError("The set must have at least one sample. Received: x without any")
        self._x = x
        self._kept: list[Batch] | None = None
        self.count = np.bincount(self.labels, minlength=num_classes)
        batch_size = batch_size_for(x, batch_size)
        self.batch_size = math.ceil(size / math.ceil(size / batch_size))
        # A model trained on cosines (LDAM, GCL) says what makes logits of them.
        self._logit_scale = float(getattr(model, "logit_scale", 1.0))
        self._scores = backend.compiled(self._losses_and_right)

    @functools.cached_property
    def sha256(self) -> str:
        """A hash of the set: inputs and labels."""
        return digest([*keras.tree.flatten(self._x), self.labels])

    @property
    def weights(self) -> list[np.ndarray]:
        """The values of the trainable weights now, copied."""
        return [np.array(ops.convert_to_numpy(variable)) for variable in self.variables]

    def state(self) -> list[Tensor]:
        """The values of all other variables now (BatchNorm's statistics, seeds)."""
        return [variable.value for variable in self.model.non_trainable_variables]

    def batches(self) -> Iterable[Batch]:
        """The whole set, in order, as tensors."""
        if self._kept is not None:
            return self._kept
        if size_in_bytes(self._x) > KEPT_BYTES:
            return self._made()
        self._kept = list(self._made())
        return self._kept

    def _made(self) -> Iterator[Batch]:
        size = len(self.labels)
        pieces = in_order(size, self.batch_size)
        filled = [np.resize(rows, self.batch_size) for rows in pieces]
        for rows, all_rows, x in zip(pieces, filled, read_in_pieces(self._x, filled), strict=True):
            weight = (np.arange(self.batch_size) < len(rows)).astype(keras.config.floatx())
            yield Batch(
                keras.tree.map_structure(ops.convert_to_tensor, x),
                ops.convert_to_tensor(self.labels[all_rows]),
                ops.convert_to_tensor(weight),
            )

    def log_probabilities(
        self, values: Sequence[Tensor], state: Sequence[Tensor], x: Any
    ) -> Tensor:
        """(B, K) log-probabilities of inputs, at these weights; differentiable in `values`."""
        outputs = self._outputs(values, state, x)
        if self.from_logits:
            return ops.log_softmax(outputs, axis=-1)
        return ops.log(ops.maximum(outputs, 1e-12))

    def sample_losses(
        self, values: Sequence[Tensor], state: Sequence[Tensor], x: Any, y: Tensor
    ) -> Tensor:
        """(B,) cross-entropies at these weights; differentiable in `values`."""
        return self._picked(self.log_probabilities(values, state, x), y)

    def _outputs(self, values: Sequence[Tensor], state: Sequence[Tensor], x: Any) -> Tensor:
        """(B, K) logits, or probabilities."""
        others = self.model.non_trainable_variables
        mapping = [*zip(self.variables, values, strict=True), *zip(others, state, strict=True)]
        with keras.StatelessScope(state_mapping=mapping):
            outputs = at_least_float32(self.model(x, training=False)) * self._logit_scale
        return two_columns(outputs, self.from_logits)

    @staticmethod
    def _picked(log_p: Tensor, y: Tensor) -> Tensor:
        """(B,) of (B, K) log-probabilities those of the labels, negated."""
        return -ops.take_along_axis(log_p, y[:, None], axis=1)[:, 0]

    def tensors(self, values: Sequence[Any]) -> list[Tensor]:
        """Values of the weights as tensors, in the variables' types."""
        return [
            ops.convert_to_tensor(v, w.dtype) for v, w in zip(values, self.variables, strict=True)
        ]

    def totals(self, values: Sequence[Any], state: Sequence[Tensor] | None = None) -> ClassTotals:
        """Loss and accuracy of every class at these weights, in one pass over the set.

        Args:
            values: one array per trainable variable, in the order of `variables`.
            state: the values of all other variables; those of now by default.
        """
        return self.collected(self.scores(self.tensors(values), state))

    def scores(self, values: list[Tensor], state: Sequence[Tensor] | None = None) -> list[Any]:
        """What `collected` adds up, batch by batch: nothing waits for the device yet."""
        now = list(self.state() if state is None else state)
        with backend.no_grad():
            return [self._scores(values, now, batch.x, batch.y) for batch in self.batches()]

    def collected(self, scores: Sequence[Any]) -> ClassTotals:
        """The totals of what `scores` found, added up in float64."""
        # What fills up the last batch is left out here, and costs the program nothing.
        losses, right = (
            np.concatenate([np.asarray(ops.convert_to_numpy(part)) for part in parts])[
                : len(self.labels)
            ]
            for parts in zip(*scores, strict=True)
        )
        return ClassTotals(
            np.bincount(self.labels, losses, self.num_classes),
            np.bincount(self.labels, right, self.num_classes).astype("int64"),
            self.count,
        )

    def _losses_and_right(
        self, values: list[Tensor], state: list[Tensor], x: Any, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B,) cross-entropies, and (B,) whether the likeliest class is the label."""
        outputs = self._outputs(values, state, x)
        if self.from_logits:
            # One operation on TensorFlow.
            losses = ops.sparse_categorical_crossentropy(y, outputs, from_logits=True)
        else:
            losses = self._picked(ops.log(ops.maximum(outputs, 1e-12)), y)
        return losses, ops.argmax(outputs, axis=-1) == ops.cast(y, "int32")
