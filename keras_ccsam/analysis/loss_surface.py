"""The cross-entropy of labelled samples as a function of some of a model's weights.

Value, gradient and Hessian-vector products over any number of samples, each sample with a weight of
its own: with 1/n for the n samples of a class it is the class's mean loss. Nothing is written to
the model. Sums over batches are float64, whatever the model computes in.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.analysis.model_at import ModelAt
from keras_ccsam.analysis.weighted_batches import WeightedBatch, WeightedBatches
from keras_ccsam.typing import Tensor


class SampleScores(NamedTuple):
    """What samples score at some weights.

    Attributes:
        loss: (N,) float64 cross-entropies.
        wrong: (N,) float64, 1 where the sample is misclassified.
        margin: (N,) float64, z_y - max_{j != y} z_j of the logits z: below 0 where it is.
    """

    loss: np.ndarray
    wrong: np.ndarray
    margin: np.ndarray


class LossSurface:
    """Sums of weighted cross-entropies over batches, at weights that are passed in.

    Args:
        at: the model as a function of its weights.
        chosen: positions in `at.variables` of the weights that count as w; all by default. The
            others stay as they are.
    """

    def __init__(self, at: ModelAt, chosen: Sequence[int] | None = None) -> None:
        self.at = at
        self.chosen = list(range(len(at.variables)) if chosen is None else chosen)
        self.variables = [at.variables[index] for index in self.chosen]
        self.size = sum(int(np.prod(variable.shape)) for variable in self.variables)
        self._gradient = backend.compiled(self._batch_gradient)
        self._product = backend.compiled(self._batch_product)
        self._scores = backend.compiled(self._batch_scores)

    @property
    def weights(self) -> np.ndarray:
        """(k,) float64, the chosen weights now, one after the other."""
        return np.concatenate([to_float64(variable.value).ravel() for variable in self.variables])

    def scores(
        self, batches: Sequence[WeightedBatch], weights: np.ndarray | None = None
    ) -> SampleScores:
        """What the batches' samples score, in their order; at the weights now, by default."""
        values, others, state = self._values(weights)
        found = []
        with backend.no_grad():
            for batch in batches:
                scores = self._scores(values, others, state, batch.x, batch.y)
                found.append([to_float64(score)[: batch.size] for score in scores])
        return SampleScores(*map(np.concatenate, zip(*found, strict=True)))

    def mean(self, batches: Sequence[WeightedBatch], weights: np.ndarray | None = None) -> float:
        """sum_i weight_i l_i; at the weights now, by default."""
        return float(self.scores(batches, weights).loss @ sample_weights(batches))

    def gradient(self, batches: Sequence[WeightedBatch]) -> np.ndarray:
        """(k,) float64, the gradient of sum_i weight_i l_i at the weights now."""
        values, others, state = self._values(None)
        total = np.zeros(self.size)
        for batch in batches:
            total += _flat(self._gradient(values, others, state, *batch[:3]))
        return total

    def hessian_product(self, batches: Sequence[WeightedBatch], vector: np.ndarray) -> np.ndarray:
        """(k,) float64, the Hessian of sum_i weight_i l_i at the weights now, times `vector`."""
        values, others, state = self._values(None)
        tensors = self._split(vector)
        total = np.zeros(self.size)
        for batch in batches:
            total += _flat(self._product(values, others, state, *batch[:3], tensors))
        return total

    def _values(
        self, weights: np.ndarray | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """The chosen weights, the other trainable ones, and the rest of the model's state."""
        own = set(self.chosen)
        others = [v.value for i, v in enumerate(self.at.variables) if i not in own]
        values = [v.value for v in self.variables] if weights is None else self._split(weights)
        return values, others, list(self.at.state())

    def _split(self, flat: np.ndarray) -> list[Tensor]:
        ends = np.cumsum([int(np.prod(variable.shape)) for variable in self.variables])[:-1]
        return [
            ops.convert_to_tensor(part.reshape(tuple(variable.shape)), dtype=variable.dtype)
            for part, variable in zip(np.split(flat, ends), self.variables, strict=True)
        ]

    def _whole(self, values: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
        """The values of all trainable weights, in the model's order."""
        own = dict(zip(self.chosen, values, strict=True))
        rest = iter(others)
        return [own[i] if i in own else next(rest) for i in range(len(self.at.variables))]

    def _batch_loss(
        self,
        values: Sequence[Tensor],
        others: Sequence[Tensor],
        state: Sequence[Tensor],
        x: Any,
        y: Tensor,
        weight: Tensor,
    ) -> Tensor:
        losses = self.at.sample_losses(self._whole(values, others), state, x, y)
        return ops.sum(losses * ops.cast(weight, losses.dtype))

    def _batch_gradient(
        self,
        values: list[Tensor],
        others: list[Tensor],
        state: list[Tensor],
        x: Any,
        y: Tensor,
        weight: Tensor,
    ) -> list[Tensor]:
        _, gradients = backend.value_and_grad(
            lambda ws: (self._batch_loss(ws, others, state, x, y, weight), ()), values
        )
        return gradients

    def _batch_product(
        self,
        values: list[Tensor],
        others: list[Tensor],
        state: list[Tensor],
        x: Any,
        y: Tensor,
        weight: Tensor,
        vectors: list[Tensor],
    ) -> list[Tensor]:
        return backend.hessian_vector_product(
            lambda ws: self._batch_loss(ws, others, state, x, y, weight), values, vectors
        )

    def _batch_scores(
        self, values: list[Tensor], others: list[Tensor], state: list[Tensor], x: Any, y: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        log_p = self.at.log_probabilities(self._whole(values, others), state, x)
        losses = -ops.take_along_axis(log_p, y[:, None], axis=1)[:, 0]
        wrong = ops.cast(ops.argmax(log_p, axis=-1), y.dtype) != y
        own = ops.one_hot(y, log_p.shape[-1], dtype="bool")
        rivals = ops.max(ops.where(own, ops.full_like(log_p, -np.inf), log_p), axis=-1)
        # Logits and log-probabilities differ by a number that is the same for each class.
        return losses, ops.cast(wrong, losses.dtype), -losses - rivals


def sample_weights(batches: Sequence[WeightedBatch]) -> np.ndarray:
    """(N,) float64, the weights of the batches' samples."""
    if isinstance(batches, WeightedBatches):
        return batches.weights
    return np.concatenate([to_float64(batch.weight)[: batch.size] for batch in batches])


def to_float64(tensor: Tensor) -> np.ndarray:
    """A tensor as a float64 array."""
    return np.asarray(ops.convert_to_numpy(tensor), "float64")


def _flat(tensors: Sequence[Tensor]) -> np.ndarray:
    return np.concatenate([to_float64(tensor).ravel() for tensor in tensors])
