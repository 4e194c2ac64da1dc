"""Loss and accuracy per class at points of a plane through a model's weights."""

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
        self._origin = at.tensors(at.weights)
        self._directions = [at.tensors(values) for values in directions.values]
        # A parameter that no direction moves need not be added to.
        self._moves = [
            any(np.any(values[i]) for values in directions.values) for i in range(len(self._origin))
        ]
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
                waiting.append(self.at.sums(values, self.state_at(values)))
        return [self.at.collected(sums) for sums in waiting]

    def values(self, point: np.ndarray) -> list[Tensor]:
        """The weights at a point."""
        dtype = self.at.variables[0].dtype
        found: list[Tensor] = self._moved(
            self._origin, self._directions, ops.convert_to_tensor(point, dtype)
        )
        return found

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

    def _move(
        self, origin: list[Tensor], directions: list[list[Tensor]], point: Tensor
    ) -> list[Tensor]:
        values = []
        for index, value in enumerate(origin):
            if self._moves[index]:
                for number, direction in enumerate(directions):
                    value = value + ops.cast(point[number], value.dtype) * direction[index]
            values.append(value)
        return values

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
