"""One batch, sample by sample: the `Samples` of its objective.

The network is called on batches of one, so that a framework can vectorise it over samples that
have weights of their own. That gives the batch's losses only where no layer couples samples:
`independence.py`.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
from keras import ops

from keras_ccsam import backend
from keras_ccsam.sharpness.method import Evaluation
from keras_ccsam.typing import Tensor

if TYPE_CHECKING:
    from keras_ccsam.training.objective import BatchObjective


class BatchSamples:
    """The samples of one batch. See `keras_ccsam.sharpness.Samples`.

    Args:
        objective: the batch's objective.
        state: BatchNorm's moving statistics with the values to normalise by; with them the network
            runs in inference mode.
    """

    def __init__(
        self, objective: "BatchObjective", state: Sequence[tuple[keras.Variable, Tensor]]
    ) -> None:
        self._objective = objective
        self._state = list(state)
        self.prediction_shape = (objective.model.num_classes,)
        data = {"x": objective.x, "y": objective.y}
        if objective.sample_weight is not None:
            data["sample_weight"] = objective.sample_weight
        self.data: dict[str, Any] = keras.tree.map_structure(ops.convert_to_tensor, data)

    def loss(self, values: Sequence[Tensor], sample: Any) -> tuple[Tensor, Tensor]:
        """The weighted loss of one row of `data`, a scalar, and the prediction (K,)."""
        batch = keras.tree.map_structure(lambda tensor: tensor[None], sample)
        objective = self._objective
        with objective.scope(values, self._state):
            predictions = objective.model(batch["x"], training=not self._state)
            losses = objective.sample_loss().values(
                batch["y"], predictions, batch.get("sample_weight")
            )
        return ops.sum(losses), predictions[0]

    def evaluate(self, predictions: Tensor) -> tuple[list[Tensor], Evaluation]:
        """The batch's loss at these predictions, and the gradient of what it adds to them.

        That is the regularisers': they depend on the weights directly.
        """
        objective = self._objective
        model = objective.model
        predictions = ops.cast(predictions, model.head.compute_dtype)

        def scaled_loss(values: list[Tensor]) -> tuple[Tensor, tuple[Tensor, list[Tensor | None]]]:
            with objective.scope(values) as scope:
                loss = model.compute_loss(
                    objective.x, objective.y, predictions, objective.sample_weight, training=True
                )
                scaled = model.optimizer.scale_loss(loss) if model.optimizer is not None else loss
            return scaled, (loss, objective.updates(scope))

        (_, (loss, updates)), gradients = backend.value_and_grad(scaled_loss, objective.values)
        return gradients, Evaluation(loss, predictions, updates)
