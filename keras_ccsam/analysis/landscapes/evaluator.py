"""Loss and accuracy per class at points of a plane through a model's weights."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_ccsam import backend
from keras_ccsam.analysis.landscapes.directions import Directions
from keras_ccsam.analysis.model_at import ClassTotals, ModelAt
from keras_ccsam.training.batch_statistics import batch_norms, batch_statistics
from keras_ccsam.typing import Tensor


class Points:
    """A model as a function of coordinates along directions from its weights.

    Args:
        at: the model over its set.
        directions: from the model's weights; they and the weights stay on the device.
        statistics: another set of the same model: BatchNorm's statistics are re-estimated on it at
            each point, in training mode, and averaged over its batches. None leaves them as they
            were trained.
    """

    def __init__(
        self, at: ModelAt, directions: Directions, statistics: ModelAt | None = None
    ) -> None:
        self.at = at
        self.state = at.state()
        weights = at.weights
        # All that moves is one vector, so that a step along a direction is one operation.
        self._moves = [
            any(np.any(values[i]) for values in directions.values) for i in range(len(weights))
        ]
        self._dtype = "float64" if any(w.dtype == "float64" for w in weights) else "float32"
        self._origin = self._flat(weights)
        self._directions = [self._flat(values) for values in directions.values]
        self._rest = at.tensors(weights)
        self._moved = backend.compiled(self._move)
        self._statistics = statistics if statistics and batch_norms(at.model) else None
        self._estimated = backend.compiled(self._estimate)

    def totals(self, coordinates: np.ndarray) -> list[ClassTotals]:
        """Loss and accuracy of every class at each point.

        All points are handed to the device before the first is waited for.

        Args:
            coordinates: (C, D), along each direction.
        """
        with backend.no_grad():
            waiting = []
            for point in coordinates:
                values = self.values(point)
                waiting.append(self.at.scores(values, self.state_at(values)))
        return [self.at.collected(scores) for scores in waiting]

    def values(self, point: np.ndarray) -> list[Tensor]:
        """The weights at a point."""
        steps = [ops.convert_to_tensor(step, self._dtype) for step in point]
        moved = iter(self._moved(self._origin, self._directions, steps))
        return [
            next(moved) if moves else value
            for moves, value in zip(self._moves, self._rest, strict=True)
        ]

    def state_at(self, values: list[Tensor]) -> list[Tensor]:
        """The values of all other variables there."""
        if self._statistics is None:
            return self.state
        rewind = backend.replay_rng()
        try:
            found = [
                self._estimated(values, self.state, batch.x) for batch in self._statistics.batches()
            ]
        finally:
            rewind()
        means = [sum(batch[1:], start=batch[0]) / len(found) for batch in zip(*found, strict=True)]
        new = {id(variable): mean for variable, mean in zip(self._moving(), means, strict=True)}
        others = self.at.model.non_trainable_variables
        return [new.get(id(v), old) for v, old in zip(others, self.state, strict=True)]

    def _flat(self, values: Sequence[np.ndarray]) -> Tensor:
        """What moves, one weight after the other."""
        parts = [v.ravel() for v, moves in zip(values, self._moves, strict=True) if moves]
        return ops.convert_to_tensor(np.concatenate(parts).astype(self._dtype))

    def _move(self, origin: Tensor, directions: list[Tensor], steps: list[Tensor]) -> list[Tensor]:
        """The weights that move, at a point."""
        for step, direction in zip(steps, directions, strict=True):
            origin = origin + step * direction
        moving = [v for v, moves in zip(self.at.variables, self._moves, strict=True) if moves]
        ends = np.cumsum([math.prod(v.shape) for v in moving])[:-1].tolist()
        parts = ops.split(origin, ends) if ends else [origin]
        return [
            ops.cast(ops.reshape(part, v.shape), v.dtype)
            for part, v in zip(parts, moving, strict=True)
        ]

    def _moving(self) -> list[Any]:
        return [
            variable
            for layer in batch_norms(self.at.model)
            for variable in (layer.moving_mean, layer.moving_variance)
        ]

    def _estimate(self, values: list[Tensor], state: list[Tensor], x: Any) -> list[Tensor]:
        model = self.at.model
        pairs = [
            *zip(self.at.variables, values, strict=True),
            *zip(model.non_trainable_variables, state, strict=True),
        ]
        return [found for _, found in batch_statistics(model, x, pairs)]
